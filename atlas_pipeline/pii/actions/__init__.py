"""What an action makes of values: masks, tokens, less exact values. `apply` is the way in for whole tables."""
