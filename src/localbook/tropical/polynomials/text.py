"""Tropical polynomials as one line of text."""

from localbook.arrays import Floats

_SHOWN = 12  # monomials that one line of text still takes


def written(exponents: Floats, coefficients: Floats, winner: str) -> str:
    """Return such as ``max(0, 2 + x1, x1 - x2)``; the numbers have four digits."""
    shown = [
        _monomial(e, c)
        for e, c in zip(exponents[:_SHOWN].tolist(), coefficients.tolist(), strict=False)
    ]
    if len(coefficients) == 1:
        return shown[0]
    if len(coefficients) > _SHOWN:
        shown.append(f"... {len(coefficients) - _SHOWN} more")
    return f"{winner}({', '.join(shown)})"


def _monomial(exponent: list[float], coefficient: float) -> str:
    terms = [(coefficient, "")]
    terms += [(e, f"x{k}") for k, e in enumerate(exponent, start=1)]
    text = ""
    for number, name in terms:
        if number:
            sign = "-" if number < 0 else "+"
            size = f"{abs(number):.4g}"
            size = name if name and size == "1" else f"{size} {name}".rstrip()
            text += f" {sign} {size}" if text else size if sign == "+" else f"-{size}"
    return text or "0"
