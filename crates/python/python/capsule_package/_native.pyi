from os import PathLike
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

_T = TypeVar("_T")

__version__: str

class Core:
    def __init__(
        self, *, home: PathLike[str], config: Optional[PathLike[str]], keys: List[Tuple[str, str]], sandbox: bool
    ) -> None: ...
    def is_configured(self, provider: str) -> bool: ...
    def verify(self, provider: str) -> str: ...
    def list(self, provider: str) -> List[Dict[str, Any]]: ...
    def get(self, provider: str, id: str) -> Dict[str, Any]: ...
    def power(self, provider: str, id: str, on: bool, unmanaged: bool) -> None: ...
    def delete(self, provider: str, id: str, unmanaged: bool) -> None: ...
    def deploy(
        self,
        provider: str,
        *,
        name: str,
        plan: str,
        region: str,
        image: Optional[str],
        ssh_keys: Sequence[str],
        tags: Sequence[str],
        wait: str,
        timeout: Optional[int],
        idempotency_key: Optional[str],
        max_hourly: Optional[str],
        force: bool,
        owner: Optional[str],
        domain: Optional[str],
        acme_email: Optional[str],
    ) -> Dict[str, Any]: ...
    def quote(self, template: str, region: Optional[str] = None) -> Tuple[str, str, str, float, float]: ...

class Client:
    def __init__(
        self,
        base_url: str,
        headers: List[Tuple[str, str]],
        timeout: float,
        max_retries: int,
        rate_limit_delay: float,
        core: Optional[Core] = None,
    ) -> None: ...
    def request(
        self, method: str, path: str, query: List[Tuple[str, str]], headers: List[Tuple[str, str]], body: Optional[str] = None
    ) -> str: ...

class Stop:
    def __init__(self) -> None: ...
    def stop(self) -> None: ...
    def during(self, call: Callable[..., _T], *args: Any) -> _T: ...

def templates() -> Tuple[List[Dict[str, Any]], Dict[str, List[str]]]: ...
def stored_keys(config: PathLike[str]) -> Dict[str, str]: ...
def store_key(config: PathLike[str], provider: str, key: str) -> None: ...
def main(args: Sequence[str]) -> int: ...
