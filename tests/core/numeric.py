"""Gradients of plain NumPy functions, for comparison."""

import numpy as np


def differences(fn, arrays, step=1e-5):
  """Central differences of a scalar function by every element.

  Args:
    fn: Takes a dict of float64 arrays.
    arrays: Where.
    step: To either side.
  """
  arrays = {k: np.array(v, np.float64) for k, v in arrays.items()}
  found = {}
  for name, array in arrays.items():
    found[name] = np.zeros_like(array)
    for place in np.ndindex(array.shape):
      before = array[place]
      values = []
      for side in (step, -step):
        array[place] = before + side
        values.append(fn(arrays))
      array[place] = before
      found[name][place] = (values[0] - values[1]) / (2 * step)
  return found
