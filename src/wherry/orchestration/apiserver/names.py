"""Names that the server makes up. Spec: upstream names.SimpleNameGenerator and rand.String."""

import random

# Without vowels and look-alikes, so that no word appears by chance.
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
BASE_MAX = 63 - SUFFIX_LENGTH


def suffix() -> str:
    """Five random letters."""
    return "".join(random.choices(LETTERS, k=SUFFIX_LENGTH))


def generated_name(base: str) -> str:
    """`base` cut so that the whole fits a label, and five random letters."""
    return base[:BASE_MAX] + suffix()
