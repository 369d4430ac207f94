"""What a request can do wrong, each with its HTTP status; the class is what `error.type` says."""

from __future__ import annotations

from typing import ClassVar


class RequestError(Exception):
    """A request that can't be answered, said to the client in OpenAI's error shape.

    Attributes:
        status: HTTP status of the answer.
        code: Machine-readable name of the mistake.
        headers: Further HTTP headers of the answer.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    headers: ClassVar[dict[str, str]] = {}

    def body(self) -> dict[str, object]:
        """The answer's JSON: https://platform.openai.com/docs/guides/error-codes."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


class MalformedRequest(RequestError):
    """JSON, a form or a field that can't be read."""

    code = "malformed_request"


class EmptyBody(RequestError):
    """No body, a form without a page, or a page without a byte."""

    code = "empty_body"


class BodyTooLarge(RequestError):
    """More bytes than `max_body`."""

    status = 413
    code = "body_too_large"


class NotAnImage(RequestError):
    """A page that is in no image format the service reads."""

    status = 415
    code = "not_an_image"


class TruncatedImage(RequestError):
    """A page that begins as an image and doesn't end as one, or whose metadata is damaged."""

    status = 422
    code = "truncated_image"


class ImageTooLarge(RequestError):
    """A page of more pixels than `max_pixels`."""

    status = 413
    code = "image_too_large"


class ImageTooThin(RequestError):
    """A page so long and thin that the vision stage can't scale it."""

    status = 422
    code = "image_too_thin"


class TooManyPages(RequestError):
    """A document of more pages than `max_pages`."""

    status = 413
    code = "too_many_pages"


class PromptTooLong(RequestError):
    """Prompt and pages together don't fit into a slot's context."""

    code = "context_length_exceeded"


class UnknownModel(RequestError):
    """A model that the service does not serve."""

    status = 404
    code = "model_not_found"


class UnknownDocument(RequestError):
    """A document that is not in the store."""

    status = 404
    code = "document_not_found"


class QueueFull(RequestError):
    """As many requests wait for a slot as may."""

    status = 503
    code = "queue_full"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class NotReady(RequestError):
    """The models are still being loaded, or the service is stopping."""

    status = 503
    code = "not_ready"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


class EngineFailed(RequestError):
    """The language model answered with an error of its own."""

    status = 500
    code = "engine_failed"
