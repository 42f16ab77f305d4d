"""Proves graders: that they tell right answers from wrong ones, whatever the seed, and notice every small mistake.

Trusted side. The answers in an exercise's file, and mutants of the right ones, are graded as submissions are: by the
pool's workers, in submission processes, with the course's store. `tensorgrade.verify.proof` puts it together.
"""
