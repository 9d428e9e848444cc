"""The name under which the original's documents import `openmesh_core`."""

from .openmesh_core import (
    OpenMeshConfig,
    XNode,
    XNodeManager,
    get_default_manager,
    quick_deploy,
    quick_tunnel,
)

__all__ = ["OpenMeshConfig", "XNode", "XNodeManager", "get_default_manager", "quick_deploy", "quick_tunnel"]
