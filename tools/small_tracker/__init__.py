"""Training and held-out evaluation of the small tracker."""
