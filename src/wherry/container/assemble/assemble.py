"""Make an image from a recipe: packages, wheels and files, without Docker and without running package scripts.

In:    a recipe file, the content store, a cache folder.
Out:   the image under `wherry.local/<name>:<version>`, its lock file beside the recipe, its SBOM attached to it.
Same recipe, lock and base: same layer and image digests. Nothing changed: nothing is done (well under a second).
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import wherry
from wherry.container.assemble import apt, deb, fixups, sbom, staging, wheels
from wherry.container.assemble import lock as locks
from wherry.container.assemble.image_config import CREATED, INPUT_LABEL, config_for
from wherry.container.assemble.lock import Lock
from wherry.container.assemble.packages import Package, parse_package
from wherry.container.assemble.recipe import Recipe, is_name, load
from wherry.container.assemble.resolve import resolve
from wherry.container.content import builder
from wherry.container.content import locks as file_locks
from wherry.container.content.content import Content, Layer, OpenedImage
from wherry.container.content.images import ContentImages
from wherry.container.image import layer_tar, platform
from wherry.container.image.service import Image
from wherry.kit import atomic_file, process
from wherry.kit.errors import Invalid, NotFound, Unavailable

VERSION = b"1"  # raise it when the same inputs shall give another image
MTIME = layer_tar.MTIME_1980
RUN_TIMEOUT_S = 600.0
OWN_DOMAIN = "wherry.local/"
BASE_DEPTH_MAX = 8
_ISOLATED = ["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "chroot"]
_RUN_ENV = {
    "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(MTIME),
}  # fmt: skip

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a recipe's lock file is treated. Neither: it is used while it fits, and made anew when it does not."""

    update: bool = False  # newest packages now
    locked: bool = False  # exactly the lock, or an error


def find_recipe(name: str) -> Path:
    """The recipe file for a path or for the name of a recipe that comes with Wherry. Raise `NotFound`."""
    for path in (Path(name), recipes_dir() / f"{name}.toml"):
        if path.suffix == ".toml" and path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in recipes_dir().glob("*.toml"))) or "none"
    raise NotFound(f"recipe {name!r} does not exist; there are {known}, or give the path of a .toml file")


def recipes_dir() -> Path:
    """The recipes that come with Wherry."""
    return Path(wherry.__file__).parent / "recipes"


def base_recipe(recipe: Recipe) -> Path | None:
    """The recipe a base is made from, beside this one or with Wherry; None for no base, and for one that is an image's name.

    `debian-base`, `debian-base:12` and `wherry.local/debian-base:12` are one; with a version the recipe must be of it.
    """
    name, _, version = recipe.base.removeprefix(OWN_DOMAIN).partition(":")
    if not is_name(name):
        return None
    for path in (recipe.path.with_name(f"{name}.toml"), recipes_dir() / f"{name}.toml"):
        # A recipe may be named as the shipped one it stands on.
        if path != recipe.path and path.is_file() and (not version or load(path).version == version):
            return path
    return None


async def assemble_recipe(
    path: Path,
    *,
    content: Content,
    cache_dir: Path,
    progress: Progress = lambda line: None,
    tag: str = "",
    options: Options | None = None,
) -> Image:
    """Assemble, or return the image that is there already. `tag`: another name for it, besides its own.

    Raises `Invalid` (recipe), `NotResolvable`, `Unavailable` (archive not reachable). Needs root.
    """
    work = _Assembly(content, cache_dir, progress, options or Options())
    async with file_locks.held(cache_dir / "assemble.lock"):
        await asyncio.to_thread(staging.clear_leftovers, cache_dir / "work")
        image = await work.image_for(path, BASE_DEPTH_MAX)
    if tag:
        reference = content.parse(tag)
        await asyncio.to_thread(content.record, reference, content.open_image(image.id).manifest_digest)
        return await ContentImages(content).present(tag) or image
    return image


class _Assembly:
    def __init__(self, content: Content, cache_dir: Path, progress: Progress, options: Options) -> None:
        self._content = content
        self._images = ContentImages(content)
        self._debs = cache_dir / "debs"
        self._wheels = cache_dir / "wheels"
        self._locks = cache_dir / "locks"
        self._work = cache_dir / "work"
        self._progress = progress
        self._options = options

    async def image_for(self, path: Path, depth: int) -> Image:
        recipe = _with_exclusions_of_base(load(path))
        if not depth:
            raise Invalid(f"{path}: bases are nested more than {BASE_DEPTH_MAX} deep, or in a circle")
        base = await self._base(recipe, depth - 1)
        lower = await self._images.unpacker.layers(base.id) if base else ()
        installed = await asyncio.to_thread(installed_packages, lower)
        inputs = locks.inputs_of(recipe, list(installed.values()))
        lock = self._read_lock(recipe, inputs)
        if lock is not None:
            found = await self._made_before(recipe, base, lock)
            if found is not None:
                return found
        lock = await self._fetched(recipe, installed, inputs, lock)
        self._progress(f"assembling {recipe.tag}: {len(lock.packages)} packages on {recipe.base or 'nothing'}")
        layer = await self._layer(recipe, lower, lock)
        return await self._finish(recipe, base, lock, layer)

    async def _base(self, recipe: Recipe, depth: int) -> OpenedImage | None:
        if not recipe.base:
            return None
        path = base_recipe(recipe)
        if path is not None:
            return await asyncio.to_thread(self._content.open_image, (await self.image_for(path, depth)).id)
        try:
            return await asyncio.to_thread(self._content.open_image, recipe.base)
        except NotFound as error:
            raise NotFound(
                f"{recipe.path}: base {recipe.base!r} is no recipe beside it, none that comes with Wherry "
                f"(wherry assemble --list) and no image that is here: {error}"
            ) from error

    def _read_lock(self, recipe: Recipe, inputs: str) -> Lock | None:
        if self._options.update:
            return None
        for path in (recipe.lock_path, self._locks / recipe.lock_path.name):
            if not path.is_file():
                continue
            found = locks.load(path.read_bytes())
            if found.inputs == inputs and found.fits(platform.host().architecture, os.uname().machine):
                return found
        if self._options.locked:
            raise Invalid(f"{recipe.lock_path} is missing, or not for this recipe and base; assemble once without --locked")
        return None

    async def _made_before(self, recipe: Recipe, base: OpenedImage | None, lock: Lock) -> Image | None:
        found = await self._images.present(recipe.tag)
        labels = found.config.get("Labels") if found else None
        key = await asyncio.to_thread(_key, recipe, base, lock)
        return found if isinstance(labels, dict) and labels.get(INPUT_LABEL) == key else None

    async def _fetched(self, recipe: Recipe, installed: dict[str, Package], inputs: str, lock: Lock | None) -> Lock:
        """The lock with everything it names in the cache. A lock that the archive outlived is made anew."""
        if lock is not None:
            try:
                await self._download(lock)
                return lock
            except Unavailable as error:
                if self._options.locked:
                    raise
                self._progress(f"{recipe.name}: {error}; taking the newest versions")
                await apt.update(self._progress)
        elif self._options.update and recipe.packages:
            await apt.update(self._progress)
        lock = await self._resolved(recipe, installed, inputs)
        await self._download(lock)
        self._write_lock(recipe, lock)
        return lock

    async def _resolved(self, recipe: Recipe, installed: dict[str, Package], inputs: str) -> Lock:
        packages: list[Package] = []
        if recipe.packages:
            archive = await apt.archive(self._progress)
            packages = await asyncio.to_thread(
                lambda: resolve(archive, recipe.packages, installed=installed, excluded=recipe.exclude)
            )
        taken = []
        for wheel in recipe.wheels:
            self._progress(f"downloading {wheel.requirement}")
            taken.append(await wheels.download(wheel.requirement, self._wheels))
        return Lock(inputs, tuple(packages), tuple(taken))

    async def _download(self, lock: Lock) -> None:
        if lock.packages:
            await apt.download(lock.packages, self._debs, self._progress)
        for wheel in lock.wheels:
            if wheels.cached(self._wheels, wheel) is None:
                self._progress(f"downloading {wheels.exact(wheel)}")
                await wheels.download(wheels.exact(wheel), self._wheels, sha256=wheel.sha256)

    async def _layer(self, recipe: Recipe, lower: Sequence[str], lock: Lock) -> Layer:
        self._work.mkdir(parents=True, exist_ok=True)
        with staging.staging(self._work, lower) as stage:
            await asyncio.to_thread(self._unpack, stage.root, lock, bool(lower))
            await asyncio.to_thread(_place_files, recipe, stage.root)
            for wheel, locked in zip(recipe.wheels, lock.wheels, strict=True):
                path = wheels.cached(self._wheels, locked)
                assert path is not None
                await asyncio.to_thread(wheels.take, path, wheel.take, wheel.executable, stage.root)
            await fixups.linker_cache(stage.root)
            for command in recipe.run:
                self._progress(f"running {' '.join(command)[:100]}")
                await process.run([*_ISOLATED, str(stage.root), *command], timeout_s=RUN_TIMEOUT_S, env=_RUN_ENV)
            await asyncio.to_thread(fixups.strip, stage.root, recipe.strip)
            with self._content.blobs.temporary() as tar:
                await asyncio.to_thread(_write_layer, stage.changes, tar)
                return await builder.add_layer(self._content, tar)

    def _unpack(self, root: Path, lock: Lock, has_base: bool) -> None:
        if not has_base and lock.packages:
            fixups.merge_usr(root)
        for package in lock.packages:
            path = apt.deb_path(self._debs, package)
            deb.unpack(path, root, self._content.settings)
            fixups.register(root, package.name, deb.control(path))
        fixups.templates(root)
        fixups.certificates(root)

    async def _finish(self, recipe: Recipe, base: OpenedImage | None, lock: Lock, layer: Layer) -> Image:
        key = await asyncio.to_thread(_key, recipe, base, lock)
        config = config_for(recipe, base.config if base else None, key)
        layers = [*(base.layers if base else ()), layer]
        image = await builder.write_image(self._content, config, layers, [recipe.tag])
        digest = self._content.open_image(recipe.tag).manifest_digest
        document = sbom.spdx(recipe.tag, lock.packages, lock.wheels, digest=digest, created=CREATED)
        await builder.attach(self._content, recipe.tag, document, media_type=sbom.MEDIA_TYPE, name=f"{recipe.name}.spdx.json")
        self._progress(f"{recipe.tag} is ready, {image.size_bytes / 1e6:.1f} MB")
        return image

    def _write_lock(self, recipe: Recipe, lock: Lock) -> None:
        data = locks.dump(lock)
        beside = os.access(recipe.path.parent, os.W_OK)
        atomic_file.write(recipe.lock_path if beside else self._locks / recipe.lock_path.name, data)


def _with_exclusions_of_base(recipe: Recipe) -> Recipe:
    """What a base does without, the images on it do without too."""
    path = base_recipe(recipe)
    seen = {recipe.path}
    excluded = list(recipe.exclude)
    while path is not None and path not in seen:
        seen.add(path)
        base = load(path)
        excluded += base.exclude
        path = base_recipe(base)
    return replace(recipe, exclude=tuple(dict.fromkeys(excluded)))


def installed_packages(lower: Sequence[str]) -> dict[str, Package]:
    """What the layers of a base image say is installed in it (`status.d`)."""
    found: dict[str, Package] = {}
    for layer in lower:
        folder = Path(layer) / "var/lib/dpkg/status.d"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and not path.name.endswith(".md5sums"):
                package = parse_package(path.read_text())
                found[package.name] = package
    return found


def _place_files(recipe: Recipe, root: Path) -> None:
    fixups.add_users(root, recipe.users)
    for folder in recipe.folders:
        path = staging.inside(root, folder.path)
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, *folder.owner)
        path.chmod(int(folder.mode, 8))
    for file in recipe.files:
        data = recipe.path.with_name(file.source).read_bytes() if file.source else file.text.encode()
        staging.write_file(root, file.path, data, mode=int(file.mode, 8), owner=file.owner)
    for link in recipe.links:
        path = staging.inside(root, link.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(link.target)


def _write_layer(changes: Path, tar: Path) -> None:
    with tar.open("xb") as file:
        layer_tar.write(file, staging.layer_entries(changes, MTIME))


def _key(recipe: Recipe, base: OpenedImage | None, lock: Lock) -> str:
    """A digest of all inputs of the image."""
    sources = [recipe.path.with_name(file.source).read_bytes() for file in recipe.files if file.source]
    made = hashlib.sha256()
    for part in (VERSION, recipe.text, base.manifest_digest.encode() if base else b"", locks.dump(lock), *sources):
        made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()
