"""The nbgrader configuration of this course."""

from tensorgrade.bridge import configure

c = get_config()

# Grade with tensorgrade: hidden graders, away from the students' code. See docs/ for what it sets.
configure(c)

c.CourseDirectory.course_id = "pytorch-basics"

# `source` is generated from assignments/ by `tensorgrade build`. Never point it at assignments/ itself:
# nbgrader releases every file of its source folder, solutions included.
c.CourseDirectory.source_directory = "source"

# How strongly submissions are confined: "A", "B", "C", or the stronger of A and B that is possible (docs/security.md).
# c.GradeSubmission.tier = "auto"

# Wall-clock limits of graded notebooks; those of exercises stand in assignments/.
# c.GradeSubmission.notebook_seconds = 300
# c.Execute.timeout = 30   # per cell of ordinary nbgrader notebooks
