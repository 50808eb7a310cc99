"""`python -m hexdicom_services` is the `hexdicom` command."""

from hexdicom_services.cli import main

if __name__ == "__main__":
    main()
