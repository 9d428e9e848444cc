"""Compares templates over all providers."""

from capsule_package.providers import get_default_manager


def main() -> None:
    manager = get_default_manager()
    for template in manager.compare_templates(min_cpu=2, min_memory=4, max_price=0.1):
        print(f"{template.provider:<14}{template.name:<26}{template.price_hourly:.4f}")
    cheapest = manager.get_cheapest_option(min_cpu=2, min_memory=4)
    if cheapest:
        print(f"cheapest: {cheapest.id}, {cheapest.price_annual:.0f} a year")


if __name__ == "__main__":
    main()
