"""Stores a key, and tells what can go wrong."""

from capsule_package.api_clients import APIError, AuthenticationError, RateLimitError, ResourceNotFoundError
from capsule_package.providers import ProviderManager


def main() -> None:
    manager = ProviderManager()
    manager.configure_provider("digitalocean", "your-api-key")
    try:
        manager.deploy_to_provider("nowhere", "do-basic-2", {})
    except ValueError as error:
        print("refused:", error)
    provider = manager.get_provider("digitalocean")
    assert provider is not None
    try:
        provider.get_instance("999999999")
    except AuthenticationError:
        print("the key is wrong")
    except RateLimitError:
        print("too many requests")
    except ResourceNotFoundError as error:
        print("not there:", error.message)
    except APIError as error:
        print("failed:", error.status_code, error.message)


if __name__ == "__main__":
    main()
