"""`rebound`: nbgrader's methods as they stand, with other objects behind some of the names they use.

Trusted side. nbgrader's steps make what they need by name, ``Gradebook(db_url)`` or ``MetadataValidator()``, and have
no setting for it. To replace a name in their modules would change it for everything else in the process, such as a
second run in another thread, and would have to be undone; a method with global names of its own needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any


def rebound(method: Callable[..., Any], **names: object) -> Callable[..., Any]:
    """Return the bound `method`, seeing `names` in the place of its module's; what it calls sees its own as before.

    What is not a method written in Python comes back as it is, since nothing but time depends on it here.
    """
    function = getattr(method, "__func__", None)
    if not isinstance(method, MethodType) or not isinstance(function, FunctionType):
        return method
    seen = {**function.__globals__, **names}
    copy = FunctionType(function.__code__, seen, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return MethodType(copy, method.__self__)
