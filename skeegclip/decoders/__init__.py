"""From epochs to what was seen: encoders, and what decides, finds and averages around them."""
