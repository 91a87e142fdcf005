"""What every other part stands on: validation, seeding, devices, files. Private."""
