"""The posterior of the BG/NBD by NUTS: nutpie on our gradient, and a script for pymc-marketing in its own environment.

`python benchmarks/peers/nutpie_posterior.py customers.csv` needs pymc-marketing 0.19.2 and a table with `customer_id`,
`frequency`, `recency` and `T`; it prints seconds, processor seconds and effective sample sizes.
"""

from __future__ import annotations

import sys
import time

import pandas as pd

DRAWS = 4000


def by_nutpie(table: pd.DataFrame) -> dict[str, float]:
    """Posterior means from at least as many effective draws as importance sampling gives of `DRAWS`."""
    from custanalytics.clv import BetaGeoModel

    return BetaGeoModel().fit(table).posterior(table, n_draws=DRAWS, rng=0, method="nuts").mean()


def by_pymc_marketing(table: pd.DataFrame) -> None:
    """Two chains one after the other, with the default priors."""
    import arviz
    from pymc_marketing.clv import BetaGeoModel

    model = BetaGeoModel(data=table[["customer_id", "frequency", "recency", "T"]])
    model.build_model()
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(method="mcmc", draws=1000, tune=1000, chains=2, cores=1, random_seed=1, progressbar=False)
    print(f"{time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of this process")
    print(arviz.summary(model.idata, var_names=["r", "alpha", "a", "b"]).to_string())


if __name__ == "__main__":
    by_pymc_marketing(pd.read_csv(sys.argv[1]))
