"""The images a build needs: found, assembled from a recipe that comes with Wherry, or pulled."""

from wherry.buildpacks.lifecycle.descriptor import Target
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.places import Owner
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.platform.settings import BuildSettings
from wherry.container.content.content import Content, OpenedImage
from wherry.container.content.images import ContentImages
from wherry.kit.errors import NotFound

_OWN = "wherry.local/"


async def ensure(name: str, images: ContentImages, settings: BuildSettings, progress: Progress) -> OpenedImage:
    """The image, made or fetched when it is not here. Raises what the assembler or the registry raises."""
    content = images.content
    try:
        return content.open_image(name)
    except NotFound:
        pass
    recipe = _recipe_of(name, content)
    if recipe:
        # Imported here: it is needed once on a machine, and costs every build 20 ms at the top.
        from wherry.container.assemble.assemble import assemble_recipe, find_recipe

        progress.line(f"assembling {name} (once)")
        await assemble_recipe(find_recipe(recipe), content=content, cache_dir=settings.cache_dir, progress=progress.line)
    else:
        progress.line(f"pulling {name}")
        await images.pull(name)
    return content.open_image(name)


def _recipe_of(name: str, content: Content) -> str:
    reference = content.parse(name)
    repository = f"{reference.domain}/{reference.path}"
    return repository.removeprefix(_OWN) if repository.startswith(_OWN) else ""


def environment(image: OpenedImage) -> dict[str, str]:
    """The variables of an image's config."""
    config = image.config.get("config") or {}
    return dict(str(line).partition("=")[::2] for line in config.get("Env") or ())


def build_user(image: OpenedImage, name: str) -> Owner:
    """CNB_USER_ID and CNB_GROUP_ID, which a build image must have, and which must not be root's."""
    env = environment(image)
    try:
        owner = Owner(int(env["CNB_USER_ID"]), int(env["CNB_GROUP_ID"]))
    except (KeyError, ValueError) as error:
        raise PhaseFailed(Code.ANALYZE, f"image {name!r} has no CNB_USER_ID and CNB_GROUP_ID: it is no build image") from error
    if owner.uid == 0:
        raise PhaseFailed(Code.ANALYZE, f"build image {name!r} builds as root, which buildpacks must not")
    return owner


def target(image: OpenedImage) -> Target:
    """What the image says it is: machine and distribution."""
    labels = (image.config.get("config") or {}).get("Labels") or {}
    name, version = (str(labels.get(f"io.buildpacks.base.distro.{key}", "")) for key in ("name", "version"))
    return Target(
        str(image.config.get("os", "linux")), str(image.config.get("architecture", "")), str(image.config.get("variant", "")),
        ((name, version),) if name else (),
    )  # fmt: skip
