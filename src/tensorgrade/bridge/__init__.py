"""The bridge to nbgrader: the classes that its configuration names.

Trusted side. ``nbgrader_config.py`` calls `configure`; nbgrader then reads submissions with `batch.SubmissionExporter`,
repairs them with `repair.RepairNotebook`, grades them with `grade.GradeSubmission` in the place of its own Execute, and
stores them without anything that would act in a reader's browser (`inert.InertNotebook`). `steps` are nbgrader's own
preprocessors with a gradebook that is set up once for a run (`gradebooks`). `page.FeedbackPage` is what students get
to see.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets.config import Config, PyFileConfigLoader

if TYPE_CHECKING:
    from ..course import Course


def configure(config: Any) -> None:
    """Put tensorgrade into nbgrader's `config`; cheap and idempotent, since nbgrader runs its file several times.

    What is not set here stays as it is; set ``c.GradeSubmission...`` and everything of nbgrader's own after the call.
    """
    _find_alembic()
    # nbgrader 0.9.6 sets SQLAlchemy's alarm off for each new submission; it would hide what a run has to say
    warnings.filterwarnings("ignore", message="Object of type <Submitted", module="nbgrader.api")
    config.Autograde.exporter_class = "tensorgrade.bridge.batch.SubmissionExporter"
    config.Autograde.sanitize_preprocessors = [
        "tensorgrade.bridge.repair.RepairNotebook",
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.DeduplicateIds",
        "tensorgrade.bridge.steps.OverwriteKernelspec",
        "tensorgrade.bridge.steps.OverwriteCells",
        "tensorgrade.bridge.steps.CheckCellMetadata",
        "tensorgrade.bridge.grade.StartGrading",
    ]
    config.Autograde.autograde_preprocessors = [
        "tensorgrade.bridge.grade.GradeSubmission",
        "nbgrader.preprocessors.IgnorePattern",
        "nbconvert.preprocessors.ClearMetadataPreprocessor",
        "nbgrader.preprocessors.LimitOutput",
        "tensorgrade.bridge.steps.SaveAutoGrades",
        "tensorgrade.bridge.grade.FlagForReview",
        "tensorgrade.bridge.steps.AssignLatePenalties",
        "tensorgrade.bridge.inert.InertNotebook",
        "tensorgrade.bridge.steps.CheckCellMetadata",
    ]
    # notebooks may have been autograded without tensorgrade
    config.GenerateFeedback.preprocessors = [
        "nbgrader.preprocessors.GetGrades",
        "tensorgrade.bridge.inert.InertNotebook",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    config.GenerateFeedback.exporter_class = "tensorgrade.bridge.page.FeedbackPage"
    config.FeedbackPage.template_name = "feedback_page"
    config.FeedbackPage.extra_template_basedirs = [str(Path(__file__).parents[1] / "templates")]
    config.GenerateAssignment.preprocessors = [
        "nbgrader.preprocessors.IncludeHeaderFooter",
        "nbgrader.preprocessors.InstantiateTests",
        "nbgrader.preprocessors.LockCells",
        "tensorgrade.bridge.student_version.StudentVersion",
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.CheckCellMetadata",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.SaveCells",
        "nbgrader.preprocessors.ClearHiddenTests",
        "nbgrader.preprocessors.ClearMarkScheme",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]


def configuration(course: Course, overrides: Config) -> Config:
    """Return what the course's ``nbgrader_config.py`` sets, with `overrides`."""
    config: Config = PyFileConfigLoader(course.config_file.name, path=str(course.root)).load_config()
    if "root" not in config.CourseDirectory:
        config.CourseDirectory.root = str(course.root)
    config.merge(overrides)
    return config


def _find_alembic() -> None:
    """Let nbgrader find alembic, which it looks for on PATH, also when the virtual environment is not activated."""
    folder = str(Path(sys.executable).parent)
    if shutil.which("alembic") is None and shutil.which("alembic", path=folder):
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
