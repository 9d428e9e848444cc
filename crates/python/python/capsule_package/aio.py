"""The same calls as coroutines.

Each runs in a thread of its own that holds no GIL while it waits, so one implementation serves both ways of calling, and what a
subclass overrides holds for both. A coroutine that is cancelled ends at once, and its thread with it, as Ctrl-C ends a call:
nothing more is sent, and what was begun is in the journal, free for `capsule resume` or the same call with the same
`idempotency_key`.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any, Callable, Dict, List, TypeVar

# asyncio takes longer to load than the rest of the package; who calls nothing of this does without.
if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# asyncio's own pool has as few threads as a small machine has processors, and these only wait.
_THREADS = 64
_T = TypeVar("_T")


@functools.lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(_THREADS, thread_name_prefix="capsule")


async def in_thread(call: Callable[..., _T], *args: Any) -> _T:
    """``call`` in another thread, with this one's context, until it is done or this is cancelled."""
    import asyncio

    from . import _native

    context, stop = contextvars.copy_context(), _native.Stop()
    work = functools.partial(context.run, stop.during, call, *args)
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool(), work)
    except asyncio.CancelledError:
        stop.stop()
        raise


class AsyncProvider:
    """The coroutines of a provider."""

    async def adeploy(self, template_id: str, config: Dict[str, Any]) -> Dict[str, Any]:
        """``deploy``."""
        return await in_thread(self.deploy, template_id, config)  # type: ignore[attr-defined]

    async def alist_instances(self) -> List[Dict[str, Any]]:
        """``list_instances``."""
        return await in_thread(self.list_instances)  # type: ignore[attr-defined]

    async def aget_instance(self, instance_id: str) -> Dict[str, Any]:
        """``get_instance``."""
        return await in_thread(self.get_instance, instance_id)  # type: ignore[attr-defined]

    async def adelete_instance(self, instance_id: str) -> bool:
        """``delete_instance``."""
        return await in_thread(self.delete_instance, instance_id)  # type: ignore[attr-defined]

    async def astart_instance(self, instance_id: str) -> bool:
        """``start_instance``."""
        return await in_thread(self.start_instance, instance_id)  # type: ignore[attr-defined]

    async def astop_instance(self, instance_id: str) -> bool:
        """``stop_instance``."""
        return await in_thread(self.stop_instance, instance_id)  # type: ignore[attr-defined]

    async def avalidate_credentials(self) -> bool:
        """``validate_credentials``."""
        return await in_thread(self.validate_credentials)  # type: ignore[attr-defined]


class AsyncManager:
    """The coroutines of a manager."""

    async def adeploy_to_provider(self, provider: str, template_id: str, config: Dict[str, Any]) -> Dict[str, Any]:
        """``deploy_to_provider``."""
        return await in_thread(self.deploy_to_provider, provider, template_id, config)  # type: ignore[attr-defined]
