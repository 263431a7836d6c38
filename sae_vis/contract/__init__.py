"""The contract with the browser: the dataclasses that cross to a page, each field with what it holds, and how packed.

From these follow, generated and checked in CI: the page's TypeScript types, the table that its decoder reads by, and a
page of the documentation. Nothing packs a field by hand: `sae_vis.deliver.codec` does it by the annotations.
"""

from __future__ import annotations

from sae_vis.contract.annotations import F32 as F32
from sae_vis.contract.annotations import I32 as I32
from sae_vis.contract.annotations import U8 as U8
from sae_vis.contract.annotations import Array as Array
from sae_vis.contract.annotations import ComponentData as ComponentData
from sae_vis.contract.annotations import Json as Json
from sae_vis.contract.annotations import Named as Named
from sae_vis.contract.boards import BoardLook as BoardLook
from sae_vis.contract.boards import Boards as Boards
from sae_vis.contract.boards import Piece as Piece
from sae_vis.contract.boards import ProbeHead as ProbeHead
from sae_vis.contract.boards import ProbeReadout as ProbeReadout
from sae_vis.contract.compare import Compared as Compared
from sae_vis.contract.compare import MatchTable as MatchTable
from sae_vis.contract.compare import Overview as Overview
from sae_vis.contract.compare import PairGroup as PairGroup
from sae_vis.contract.compare import PairTable as PairTable
from sae_vis.contract.compare import SplitTable as SplitTable
from sae_vis.contract.examples import AttentionSources as AttentionSources
from sae_vis.contract.examples import Contexts as Contexts
from sae_vis.contract.examples import SequenceGroup as SequenceGroup
from sae_vis.contract.examples import TokenEffects as TokenEffects
from sae_vis.contract.explorer import ColumnInfo as ColumnInfo
from sae_vis.contract.explorer import ComparisonHead as ComparisonHead
from sae_vis.contract.explorer import EveryLayer as EveryLayer
from sae_vis.contract.explorer import ExplorerCan as ExplorerCan
from sae_vis.contract.explorer import ExplorerHead as ExplorerHead
from sae_vis.contract.explorer import FirstRows as FirstRows
from sae_vis.contract.explorer import Hits as Hits
from sae_vis.contract.explorer import IndexChoice as IndexChoice
from sae_vis.contract.explorer import LayerFeatures as LayerFeatures
from sae_vis.contract.explorer import MeasuredEffects as MeasuredEffects
from sae_vis.contract.explorer import Note as Note
from sae_vis.contract.explorer import Notes as Notes
from sae_vis.contract.explorer import NumberColumn as NumberColumn
from sae_vis.contract.explorer import RowTexts as RowTexts
from sae_vis.contract.explorer import SearchAnswer as SearchAnswer
from sae_vis.contract.explorer import SiteHead as SiteHead
from sae_vis.contract.explorer import SitePage as SitePage
from sae_vis.contract.explorer import TokenFeatures as TokenFeatures
from sae_vis.contract.explorer import TokenLogits as TokenLogits
from sae_vis.contract.explorer import TokensOfRows as TokensOfRows
from sae_vis.contract.explorer import TriedText as TriedText
from sae_vis.contract.explorer import WholeColumn as WholeColumn
from sae_vis.contract.explorer import WordList as WordList
from sae_vis.contract.explorer_map import DecoderMap as DecoderMap
from sae_vis.contract.feature import FeatureStats as FeatureStats
from sae_vis.contract.feature import FeatureView as FeatureView
from sae_vis.contract.layout import ColumnSpec as ColumnSpec
from sae_vis.contract.layout import ComponentModule as ComponentModule
from sae_vis.contract.layout import ComponentSpec as ComponentSpec
from sae_vis.contract.layout import LayoutSpec as LayoutSpec
from sae_vis.contract.page import ComparePart as ComparePart
from sae_vis.contract.page import FeaturePage as FeaturePage
from sae_vis.contract.page import OtherDictionary as OtherDictionary
from sae_vis.contract.page import PageHead as PageHead
from sae_vis.contract.page import PageMeta as PageMeta
from sae_vis.contract.page import TokenTable as TokenTable
from sae_vis.contract.prompt import PromptMetric as PromptMetric
from sae_vis.contract.prompt import PromptPart as PromptPart
from sae_vis.contract.prompt import PromptView as PromptView
from sae_vis.contract.reader import ReaderCodes as ReaderCodes
from sae_vis.contract.reader import ReaderFeature as ReaderFeature
from sae_vis.contract.reader import ReaderFiring as ReaderFiring
from sae_vis.contract.reader import ReaderLabels as ReaderLabels
from sae_vis.contract.reader import ReaderPage as ReaderPage
from sae_vis.contract.reader import ReaderPlace as ReaderPlace
from sae_vis.contract.summary import FeatureSummary as FeatureSummary
from sae_vis.contract.tables import AlignmentTable as AlignmentTable
from sae_vis.contract.tables import CorrelationTable as CorrelationTable
from sae_vis.contract.tables import Histogram as Histogram
from sae_vis.contract.tables import LabellingWords as LabellingWords
from sae_vis.contract.tables import LabelProfile as LabelProfile
from sae_vis.contract.tables import LabelRanks as LabelRanks
from sae_vis.contract.tables import LogitTable as LogitTable
from sae_vis.contract.tables import NeighbourTable as NeighbourTable
from sae_vis.contract.tables import PlaceWeights as PlaceWeights
from sae_vis.contract.tables import PositionProfile as PositionProfile
from sae_vis.contract.tables import TopTokens as TopTokens
from sae_vis.contract.tables import WrittenPlaces as WrittenPlaces
