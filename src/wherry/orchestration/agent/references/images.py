"""The image for a container by its pull policy, with back-off per pod and image, and upstream's events.

Spec: core/v1 Container.imagePullPolicy; reasons ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName,
      RegistryUnavailable; back-off 10 s doubling to 300 s.
"""

from wherry.container.image.service import Image, ImageService
from wherry.kit.clock import loop_time
from wherry.kit.errors import Invalid, Unavailable, WherryError
from wherry.orchestration.agent.references.objects import PodReferences, pull_credentials
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.meta import Object, uid_of

BACKOFF_S_FIRST = 10.0
SHOWN_S = 1.0  # how long ErrImagePull shows before it becomes ImagePullBackOff


class ImageFailed(WherryError):
    """`reason` is the waiting reason; `retry_s` is when to try again."""

    def __init__(self, reason: str, message: str, retry_s: float) -> None:
        self.reason = reason
        self.retry_s = retry_s
        super().__init__(message)


class ImagePuller:
    """Of all pods on the node."""

    def __init__(self, images: ImageService, recorder: Recorder, *, backoff_s_max: float) -> None:
        self._images = images
        self._recorder = recorder
        self._backoff_s_max = backoff_s_max
        self._delay_s: dict[tuple[str, str], float] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._last_error: dict[tuple[str, str], str] = {}

    async def ensure(self, pod: Object, container: Object, references: PodReferences) -> Image:
        """Raise `ImageFailed` with reason, message and when to try again."""
        reference = str(container.get("image") or "")
        path = field_path(pod, container)
        policy = str(container.get("imagePullPolicy") or default_policy(reference))
        try:
            present = await self._images.present(reference)
        except Invalid as error:
            message = f'Failed to apply default image tag "{reference}": {error}'
            self._recorder.event(pod, "Warning", "InspectFailed", message, field_path=path)
            raise ImageFailed("InvalidImageName", message, self._backoff_s_max) from error
        if present is not None and policy != "Always":
            text = f'Container image "{reference}" already present on machine'
            self._recorder.event(pod, "Normal", "Pulled", text, field_path=path)
            return present
        if policy == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            self._recorder.event(pod, "Warning", "ErrImageNeverPull", message, field_path=path)
            raise ImageFailed("ErrImageNeverPull", message, BACKOFF_S_FIRST)
        return await self._pull(pod, reference, references, path)

    def release(self, uid: str) -> None:
        """Forget the back-off of a pod."""
        for key in [key for key in {*self._delay_s, *self._not_before, *self._last_error} if key[0] == uid]:
            self._delay_s.pop(key, None)
            self._not_before.pop(key, None)
            self._last_error.pop(key, None)

    async def _pull(self, pod: Object, reference: str, references: PodReferences, path: str) -> Image:
        key = (uid_of(pod), reference)
        if (left_s := self._not_before.get(key, 0.0) - loop_time()) > 0:
            message = f'Back-off pulling image "{reference}"'
            self._recorder.event(pod, "Normal", "BackOff", message, field_path=path)
            self._recorder.event(pod, "Warning", "Failed", "Error: ImagePullBackOff", field_path=path)
            raise ImageFailed("ImagePullBackOff", f"{message}: {self._last_error.get(key, 'ErrImagePull')}", left_s)
        self._recorder.event(pod, "Normal", "Pulling", f'Pulling image "{reference}"', field_path=path)
        began_at = loop_time()
        try:
            image = await self._images.pull(reference, pull_credentials(pod, references))
        except (WherryError, OSError) as error:
            raise self._failed(pod, key, error, path) from error
        took_s = loop_time() - began_at
        self._delay_s.pop(key, None)
        self._not_before.pop(key, None)
        spent = _duration(took_s)
        text = (
            f'Successfully pulled image "{reference}" in {spent} ({spent} including waiting). '
            f"Image size: {image.size_bytes} bytes."
        )
        self._recorder.event(pod, "Normal", "Pulled", text, field_path=path)
        return image

    def _failed(self, pod: Object, key: tuple[str, str], error: Exception, path: str) -> ImageFailed:
        delay_s = min(self._delay_s.get(key, BACKOFF_S_FIRST / 2) * 2, self._backoff_s_max)
        self._delay_s[key] = delay_s
        self._not_before[key] = loop_time() + delay_s
        self._last_error[key] = f"ErrImagePull: {error}"
        reason = (
            "RegistryUnavailable" if isinstance(error, Unavailable) and "registry" in str(error) else "ErrImagePull"
        )
        self._recorder.event(pod, "Warning", "Failed", f'Failed to pull image "{key[1]}": {error}', field_path=path)
        self._recorder.event(pod, "Warning", "Failed", f"Error: {reason}", field_path=path)
        # Looked at again at once, to show ImagePullBackOff until the next try is due.
        return ImageFailed(reason, str(error), SHOWN_S)


def default_policy(reference: str) -> str:
    """Always for `:latest` or no tag, else IfNotPresent."""
    if "@" in reference:
        return "IfNotPresent"
    _, _, last = reference.rpartition("/")
    tag = last.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def field_path(pod: Object, container: Object) -> str:
    """`spec.containers{name}`, as events name a container."""
    name = container.get("name", "")
    for field in ("initContainers", "ephemeralContainers"):
        if any(c.get("name") == name for c in (pod.get("spec") or {}).get(field) or ()):
            return f"spec.{field}{{{name}}}"
    return f"spec.containers{{{name}}}"


def _duration(seconds: float) -> str:
    """As Go prints a rounded time.Duration."""
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.3f}s"
