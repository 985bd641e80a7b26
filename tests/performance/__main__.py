"""`make bench`: what the product promises, measured here and now."""

from tests.performance import regulations, serving


def main() -> None:
    print("Serving, with the embedded defaults:")
    for name, value in serving.measure():
        print(f"  {name:<55} {value}")
    print("Regulations:")
    regulations.main()


if __name__ == "__main__":
    main()
