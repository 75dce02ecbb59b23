"""Refusals that several parts of the library make in the same words."""

from uuid import UUID

from mesh.errors import AlreadyExists, NotFound, PermissionDenied, Unauthenticated


def not_found(field: str, value: UUID, what: str) -> NotFound:
    """No such thing, or it is another's: the two are not told apart."""
    return NotFound(
        f"{field}: there is no {what} {value} that you can see",
        reason=f"{what.upper()}_NOT_FOUND",
        fields={field: f"names no {what} that you can see"},
    )


def not_owner(field: str, what: str) -> PermissionDenied:
    """The caller sees the thing, but it is another's."""
    return PermissionDenied(
        f"{field}: only its owner may change or delete this {what}",
        reason="NOT_OWNER",
        fields={field: f"is another reader's {what}; only its owner may change or delete it"},
    )


def unknown_user() -> Unauthenticated:
    """A token that is in order, of a user that is gone."""
    return Unauthenticated("the token's user no longer exists: sign in again", reason="USER_UNKNOWN")


def email_taken() -> AlreadyExists:
    """The e-mail address has an account."""
    return AlreadyExists(
        "email: this address already has an account; sign in instead",
        reason="EMAIL_TAKEN",
        fields={"email": "already has an account; sign in instead"},
    )
