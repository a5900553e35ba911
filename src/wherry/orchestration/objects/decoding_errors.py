"""The error of a body that cannot be read as the object it should be."""

from wherry.kit.errors import Invalid


class Malformed(Invalid):
    """The body is not JSON or YAML, or a value has the wrong type for its field: HTTP 400, reason BadRequest."""
