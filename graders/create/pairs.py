"""What the graders of pairs have in common."""

from tensorgrade import expect
from tensorgrade.observation import ObservedObject


def parts(value):
    """The two items of a result, also when they are in a list: that is another clause's matter."""
    return _items(value, (tuple, list))


def expect_tuple(value):
    """The two items of a result that must be a tuple, which may have names for them."""
    return _items(value, (tuple,))


def _items(value, kinds):
    items = value.items if isinstance(value, ObservedObject) else value
    if not isinstance(items, kinds) or len(items) != 2:
        expect(value).equals(("one", "two"))  # fails for whatever comes here, and says why
    return items
