"""Contests of many entries: a sample, a bracket, one pass, and the candidates that it leaves.

Everything is prepared by the constructor: tables, memory, grids. A run launches kernels and no more, so that
it can be captured in a CUDA graph.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rustprune.torch._gpu._kernels import candidates, radix, scan
from rustprune.torch._gpu._tables import is_aligned, on_device, steps_for, tiles
from rustprune.torch._gpu._tuning import DEFAULT, Tuning

if TYPE_CHECKING:
    from rustprune.torch._gpu._formats import KeySpace

NUMBER_DIGITS = 2
"""Digits that tell entries of a sample apart whose keys are the same."""
FIELDS: int = radix.FIELDS.value


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of entries of a tensor, where their mask goes, and an existing one, from its bit `start` on."""

    weights: Tensor
    mask: Tensor
    code: int
    where: Tensor | None = None
    start: int = 0


@dataclass(frozen=True, slots=True)
class Contest:
    """Segments that compete for one number of kept entries."""

    segments: Sequence[Segment]
    num_kept: int

    @property
    def length(self) -> int:
        """How many entries compete."""
        return sum(segment.weights.numel() for segment in self.segments)


def sample_size(length: int) -> int:
    """Return how many entries are drawn: the passes over sample and candidates balance at 2 n**(2/3)."""
    return min(length, 1 << min(21, max(10, 1 + round(math.log2(max(length, 1)) * 2 / 3))))


class Large:
    """Contests that are decided side by side, by the same kind of keys."""

    def __init__(
        self,
        contests: Sequence[Contest],
        space: KeySpace,
        *,
        nan: str,
        packed: bool,
        nan_flag: Tensor,
        tuning: Tuning = DEFAULT,
    ) -> None:
        self.tuning, self.nan_flag = tuning, nan_flag
        self.block = tuning.block or (2048 if packed else 4096)
        device = nan_flag.device
        segments = [segment for contest in contests for segment in contest.segments]
        self._alive = segments
        lengths = [contest.length for contest in contests]
        starts, self.num_tiles = tiles([one.weights.numel() for one in segments], self.block)
        chunks, self.num_chunks = tiles([one.weights.numel() for one in segments], tuning.chunk)
        places = [
            place
            for contest in contests
            for place in itertools.accumulate([0, *(one.weights.numel() for one in contest.segments)][:-1])
        ]
        owners = [number for number, contest in enumerate(contests) for _ in contest.segments]
        self.segments = on_device(
            [
                starts,
                [one.weights.data_ptr() for one in segments],
                [one.mask.data_ptr() for one in segments],
                [0 if one.where is None else one.where.data_ptr() + one.start // 8 for one in segments],
                [one.weights.numel() for one in segments],
                owners,
                places,
                [one.code for one in segments],
                chunks,
                [one.start % 8 for one in segments],
            ],
            device,
        )
        self.flags = torch.empty(self.num_tiles * (self.block // 16), dtype=torch.int16, device=device)
        self.num_segments, self.num_contests = len(segments), len(contests)
        sizes = [sample_size(length) for length in lengths]
        rooms = [self._room(length, size) for length, size in zip(lengths, sizes, strict=True)]
        self.max_sample, self.max_room = max(sizes), max(rooms)
        first_segments = list(itertools.accumulate([0, *(len(one.segments) for one in contests)][:-1]))
        own_segments = [len(one.segments) for one in contests]
        sample_starts = list(itertools.accumulate([0, *sizes][:-1]))
        room_starts = list(itertools.accumulate([0, *rooms][:-1]))
        num_kept = [one.num_kept for one in contests]
        self.contests = on_device(
            [lengths, num_kept, first_segments, own_segments, sample_starts, sizes, room_starts, rooms],
            device,
        )
        self.own_steps = steps_for(max(own_segments))
        self.key_digits = -(-space.num_bits // 8)
        self.place_digits = max(1, -(-max(lengths).bit_length() // 8))
        self.digits = self.key_digits + self.place_digits
        # Entries of the sample are in the order of their places; 16 bits of their numbers tell enough.
        self.number_shift = max(0, self.max_sample.bit_length() - 16)
        self.sample_digits = self.key_digits + NUMBER_DIGITS
        self.sample_lists = on_device(
            [[start, size] for start, size in zip(sample_starts, sizes, strict=True) for _ in range(2)],
            device,
        )
        count = self.num_contests

        def numbers(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        # What a run must find zero: three sets of histograms, counts, and whether something was missed.
        of_sample, of_all = 2 * count * self.sample_digits * 256, count * self.digits * 256
        parts = of_sample, of_all, of_all, 2 * count, count + 1
        self.cleared = numbers(sum(parts))
        self.sample_histograms, self.histograms, self.all_histograms, self.counts, self.missed = (
            self.cleared.split_with_sizes(parts)
        )
        self.sample_states = numbers(self.sample_digits, 2 * count, FIELDS)
        self.sample_states[0] = on_device(
            [
                state
                for contest, size in zip(contests, sizes, strict=True)
                for state in self._bracket(contest, size, space)
            ],
            device,
        )
        self.states = numbers(self.digits, count, FIELDS)
        self.all_states = numbers(self.digits, count, FIELDS)
        self.lists = numbers(count, 2)
        self.bracket = numbers(count, 2, 2)
        self.cuts = numbers(count, 2)
        self.exact = numbers(count, 2, 2)
        self.sample_keys = torch.empty(sum(sizes), dtype=space.dtype, device=device)
        self.keys = torch.empty(max(sum(rooms), 1), dtype=space.dtype, device=device)
        self.places = torch.empty(max(sum(rooms), 1), dtype=torch.int64, device=device)
        self.kind: dict[str, Any] = {
            "code": space.code,
            "limit": space.limit,
            "top": space.top,
            "base": space.base,
            "signed": space.base > 0,
            "nan": nan,
            "masked": segments[0].where is not None,
        }
        self.space, self.packed = space, packed
        self.aligned = is_aligned([one.weights for one in segments] + [one.mask for one in segments])

    def _margin(self, size: int, share: float) -> float:
        # Draws from strata vary no more than as many independent ones.
        return self.tuning.spread * math.sqrt(size * share * (1 - share)) + 4

    def _room(self, length: int, size: int) -> int:
        return math.ceil(min(1.0, 2 * self._margin(size, 0.5) / size) * length * self.tuning.room)

    def _bracket(self, contest: Contest, size: int, space: KeySpace) -> list[list[int]]:
        """Return what is known of the higher and the lower cut before the sample is seen."""
        share = contest.num_kept / contest.length
        center = size * (share + self.tuning.shift)
        margin = self._margin(size, share)
        states = []
        origin = [space.top, -1]
        for rank in (math.floor(center - margin), math.ceil(center + margin) + 1):
            if rank <= 0:
                states.append([0, -1, 0, 1, *origin])  # keeps nothing
            elif rank > size:
                states.append([0, _wrapped(space.top - space.lowest), 0, 1, *origin])  # keeps everything
            else:
                states.append([rank, 0, 0, 0, *origin])
        return states

    def run(self) -> None:
        """Write the masks."""
        self.cleared.zero_()
        count, tuning = self.num_contests, self.tuning
        tables = (self.segments, self.num_segments, self.contests, count)
        scan.sample[(math.ceil(self.max_sample / 1024), count)](
            *tables,
            self.own_steps,
            self.sample_keys,
            self.sample_histograms,
            8 * (self.key_digits - 1),
            **self.kind,
            block=1024,
        )
        self._find(
            self.sample_keys,
            self.sample_keys,
            self.sample_lists,
            states=self.sample_states,
            histograms=self.sample_histograms,
            cuts=self.bracket,
            longest=self.max_sample,
            numbered=True,
        )
        self._scan(self.bracket, self.num_tiles, exact=False)
        candidates.gather[(self.num_chunks,)](
            self.segments,
            self.num_segments,
            steps_for(self.num_segments),
            self.contests,
            count,
            self.flags,
            self.keys,
            self.places,
            self.counts,
            **self.kind,
            block=self.block,
            chunk=tuning.chunk,
            num_warps=8,
        )
        candidates.judge[(count,)](
            self.contests,
            count,
            self.bracket,
            self.counts,
            self.lists,
            self.states,
            self.all_states,
            self.missed,
            top=self.space.top,
        )
        self._find(
            self.keys,
            self.places,
            self.lists,
            states=self.states,
            histograms=self.histograms,
            cuts=self.cuts,
            longest=self.max_room,
        )
        programs = min(tuning.programs, math.ceil(self.max_room / 1024))
        candidates.mend[(max(programs, 1), count)](
            *tables,
            self.own_steps,
            self.counts,
            self.cuts,
            self.missed,
            self.keys,
            self.places,
            base=self.space.base,
            packed=self.packed,
            block=1024,
        )
        self._find_in_everything()
        self._scan(self.exact, min(tuning.programs, self.num_tiles), exact=True)

    def _find(
        self,
        keys: Tensor,
        places: Tensor,
        lists: Tensor,
        *,
        states: Tensor,
        histograms: Tensor,
        cuts: Tensor,
        longest: int,
        numbered: bool = False,
    ) -> None:
        """Find the pair of each question's rank in its list; the first digit of a sample is counted."""
        questions = len(lists)
        programs = max(1, min(self.tuning.programs, math.ceil(longest / 2048)))
        place_digits = NUMBER_DIGITS if numbered else self.place_digits
        for number in range(int(numbered), self.key_digits + place_digits):
            radix.count_pairs[(programs, questions)](
                keys,
                places,
                lists,
                states,
                histograms,
                number,
                self.key_digits,
                place_digits,
                number_shift=self.number_shift if numbered else -1,
                first=number == 0,
                block=2048,
            )
        self._conclude(states, histograms, cuts, questions, stride=1, numbered=numbered)

    def _find_in_everything(self) -> None:
        """Find the cuts of the contests that were missed, by histograms of all their entries."""
        programs = min(2 * self.tuning.programs, self.num_tiles)
        for number in range(self.digits):
            radix.count_entries[(programs,)](
                self.segments,
                self.num_segments,
                steps_for(self.num_segments),
                self.num_tiles,
                self.missed,
                self.all_states,
                self.all_histograms,
                self.num_contests,
                number,
                self.key_digits,
                self.place_digits,
                **self.kind,
                first=number == 0,
                block=self.block,
            )
        self._conclude(self.all_states, self.all_histograms, self.exact, self.num_contests, stride=2)

    def _conclude(
        self,
        states: Tensor,
        histograms: Tensor,
        cuts: Tensor,
        questions: int,
        *,
        stride: int,
        numbered: bool = False,
    ) -> None:
        place_digits = NUMBER_DIGITS if numbered else self.place_digits
        radix.conclude[(questions,)](
            states,
            histograms,
            cuts,
            self.contests,
            self.key_digits + place_digits,
            self.key_digits,
            place_digits,
            number_shift=self.number_shift if numbered else -1,
            stride=stride,
        )

    def _scan(self, cuts: Tensor, programs: int, *, exact: bool) -> None:
        if self.aligned:
            self._scan_some(cuts, self.num_tiles, programs, exact=exact, full=True, tails=False)
            tails = min(self.num_segments, programs)
            self._scan_some(cuts, self.num_segments, tails, exact=exact, full=False, tails=True)
        else:
            self._scan_some(cuts, self.num_tiles, programs, exact=exact, full=False, tails=False)

    def _scan_some(
        self, cuts: Tensor, count: int, programs: int, *, exact: bool, full: bool, tails: bool
    ) -> None:
        few = self.tuning.maxnreg is not None and self.space.code > 0 and not self.packed
        registers = {"maxnreg": self.tuning.maxnreg} if few else {}
        scan.scan[(programs,)](
            self.segments,
            self.num_segments,
            steps_for(self.num_segments),
            count,
            self.num_contests,
            cuts,
            self.flags,
            self.counts,
            self.missed,
            self.nan_flag,
            **self.kind,
            packed=self.packed,
            exact=exact,
            full=full,
            tails=tails,
            block=self.block,
            num_warps=max(1, self.block // 512),
            **registers,
        )


def _wrapped(number: int) -> int:
    """Return the int64 of the same bits: differences of float64 keys take 64."""
    return number - (1 << 64) if number >= 1 << 63 else number
