"""For students while they work: ``%load_ext tensorgrade`` gives ``%check``, ``%hint`` and ``%progress``.

Runs on the student's machine, in the student's kernel, with what the released notebook holds: the visible examples and
the hints. It knows neither graders nor solutions, and what it says earns no points.
"""
