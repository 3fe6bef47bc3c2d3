"""Score every customer of CDNOW and of the Complete Journey; write the tables and an HTML report of each.

Run from the root of the repository: python examples/score_real_data.py [folder]
"""

import sys
import time
from pathlib import Path

from custanalytics import Customer360
from custanalytics.datasets import load_cdnow, load_complete_journey


def score(name: str, log: object, folder: Path) -> None:
    start = time.perf_counter()
    c360 = Customer360()
    table = c360.fit_transform(log)
    table.to_csv(folder / f"{name}.csv", index=False)
    page = c360.report(folder / f"{name}.html")
    print(f"\n{name}: {len(table):,} customers scored in {time.perf_counter() - start:.1f} s → {page}")
    print(table[["customer_id", "segment", "p_alive", "lifetime_value", "churn_risk"]].head().to_string(index=False))


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
    folder.mkdir(parents=True, exist_ok=True)
    score("cdnow", load_cdnow(sample=False), folder)
    # Offers are made at the level of product categories, of which there are about 300.
    score("complete_journey", load_complete_journey(product_level="product_category"), folder)


if __name__ == "__main__":
    main()
