"""The policies of alerts, with what they select among the assets of this project.

Belongs here: Dagster's side of `alerting/policy_file.py`, and where the file is found. Does not belong here:
what policies are (`alerting/policy.py`), and what follows from them.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace

import dagster as dg
from dagster._core.definitions.antlr_asset_selection.antlr_asset_selection import AntlrAssetSelectionParser
from dagster._core.definitions.asset_selection import DagsterInvalidAssetSelectionError
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster_shared.check.functions import CheckError

from atlas_pipeline.alerting.channels import configured_channels
from atlas_pipeline.alerting.channels.alertmanager import Alertmanager
from atlas_pipeline.alerting.policy import Policies
from atlas_pipeline.alerting.policy_file import PolicyFileError, read_policies
from atlas_pipeline.settings import PREFIX, PROJECT_ROOT, Settings

# Dagster warns of a parameter that its own parser of selections passes.
warnings.filterwarnings("ignore", "Parameter `include_sources` of function", dg.BetaWarning)


def load_policies(graph: dg.Definitions | BaseAssetGraph, settings: Settings) -> Policies:
    """The policies of `alerts_file`, or the defaults when the setting is not set and there is no such file.

    Args:
        graph: the assets that policies may select.
        settings: name the file and the channels.

    Raises:
        PolicyFileError: the file cannot be used, or the setting names one that is not there.
        ChannelError: the channels cannot be read.
    """
    channels = configured_channels(settings)
    path = PROJECT_ROOT / settings.alerts_file
    policies = read_policies(path, tuple(channels), selector(graph))
    if "alerts_file" in settings.model_fields_set and not path.exists():
        raise PolicyFileError.at(path, 1, f"there is no such file, expected the one that {PREFIX}ALERTS_FILE names")
    ungrouped = frozenset(name for name, channel in channels.items() if isinstance(channel, Alertmanager))
    return replace(policies, ungrouped=ungrouped)


def selector(graph: dg.Definitions | BaseAssetGraph) -> Callable[[str], frozenset[str]]:
    """A function from an asset selection to the paths of what it selects, such as silver/orders.

    Assets that are made elsewhere are selected too. The function raises ValueError, with Dagster's reason, for a
    selection that does not parse, that names an asset which is not there, or that the definitions alone cannot answer,
    such as `status:`.
    """
    assets = graph.resolve_asset_graph() if isinstance(graph, dg.Definitions) else graph

    def select(selection: str) -> frozenset[str]:
        try:
            found = dg.AssetSelection.from_string(selection, include_sources=True).resolve(assets)
        except DagsterInvalidAssetSelectionError:
            raise ValueError(_syntax_error(selection)) from None
        except (NotImplementedError, CheckError):
            raise ValueError("Dagster cannot select by this here") from None
        except dg.DagsterError as error:
            raise ValueError(str(error)) from None
        return frozenset(key.to_user_string() for key in found)

    return select


def _syntax_error(selection: str) -> str:
    """Dagster's reason, which `from_string` does not pass on."""
    try:
        AntlrAssetSelectionParser(selection)
    except RecursionError:
        pass
    except Exception as error:  # noqa: BLE001 — the parser raises no class of its own
        return str(error)
    return "Syntax error: nested too deep"
