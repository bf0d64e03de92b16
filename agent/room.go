package agent

import (
	"cmp"
	"slices"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// RoomDecision is who of an app's previews gets a place and who makes one. It holds for
// the records that it was made of; once it is carried out the next one follows.
type RoomDecision struct {
	Open  []Line // of what waits: is made now, newest push first
	Evict []Line // of what is there: makes room, the one that has been idle longest first
	Hold  []Hold // of what waits: goes on waiting, newest push first
}

// Hold is a preview that goes on waiting.
type Hold struct {
	Line   Line
	Coming bool // its place is being made: a namespace is on its way out
}

// Room decides who of an app's previews, which may be limit at the same time, gets a
// place and who makes one. It is pure. There is what is Active or Destroying; what
// waits has Preview.Waiting and is neither. The rules:
//
//   - a place that is free, or on its way to be, is the newest push's of what waits
//   - who was deployed anew and finds none has the one make room that has been idle
//     longest, asleep ones first; never one with the label keep, never one that was used
//     since that push, and only if as many can go as it takes
//   - who made room has nobody go: it waits for a place to come free. Whoever was pushed
//     before it waits behind it, and has nobody go either
//   - nobody goes because limit was lowered: only a newcomer makes previews go
func Room(previews []Preview, limit int, keep string) RoomDecision {
	var d RoomDecision
	var waiting, idle []Preview
	active, going := 0, 0
	for _, p := range previews {
		switch p.Phase {
		case PreviewActive:
			active++
			if p.Waiting == nil && (keep == "" || !slices.Contains(p.Labels, keep)) { // else it is only just being made
				idle = append(idle, p)
			}
			continue
		case PreviewDestroying:
			going++
		case PreviewWaiting, PreviewDestroyed, "":
		}
		if p.Waiting != nil {
			waiting = append(waiting, p)
		}
	}
	slices.SortFunc(waiting, byPush)
	slices.SortFunc(idle, byIdleness)
	free, places := limit-active-going, limit-active // now, and once what goes is gone
	barred := false
	for _, p := range waiting {
		pushed := p.Waiting.Release.Source.EventAt
		if !barred && !p.Waiting.Evicted && places <= 0 {
			var leaving []Preview
			leaving, idle = idlest(idle, 1-places, pushed)
			for _, victim := range leaving {
				d.Evict = append(d.Evict, victim.Line)
			}
			places += len(leaving)
		}
		switch {
		case places <= 0:
			barred = true
			d.Hold = append(d.Hold, Hold{Line: p.Line})
			continue
		case free > 0 && p.Phase != PreviewDestroying:
			free--
			d.Open = append(d.Open, p.Line)
		default:
			d.Hold = append(d.Hold, Hold{Line: p.Line, Coming: true})
		}
		places--
	}
	return d
}

// idlest takes the first n off idle that were not used since the given time; none if
// there are fewer.
func idlest(idle []Preview, n int, since time.Time) (taken, left []Preview) {
	for _, p := range idle {
		if len(taken) < n && !p.activity().After(since) {
			taken = append(taken, p)
		} else {
			left = append(left, p)
		}
	}
	if len(taken) < n {
		return nil, idle
	}
	return taken, left
}

// activity is when p was last known to be used.
func (p Preview) activity() time.Time { return later(p.LastPushAt, p.ActiveAt) }

// byPush orders what waits: the newest push first. GitHub tells the time of a push in
// whole seconds; of two within one the newcomer is before who made room for it.
func byPush(x, y Preview) int {
	evicted := func(p Preview) int {
		if p.Waiting.Evicted {
			return 1
		}
		return 0
	}
	return cmp.Or(
		y.Waiting.Release.Source.EventAt.Compare(x.Waiting.Release.Source.EventAt), cmp.Compare(evicted(x), evicted(y)),
		y.Waiting.Release.IssuedAt.Compare(x.Waiting.Release.IssuedAt), byNumber(x, y),
	)
}

// byIdleness orders what is there: asleep ones first, then who was used longest ago.
func byIdleness(x, y Preview) int {
	awake := func(p Preview) int {
		if p.AsleepAt.IsZero() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(awake(x), awake(y)), x.activity().Compare(y.activity()), byNumber(x, y))
}

func byNumber(x, y Preview) int {
	m, _ := spec.PreviewNumber(x.Line.Environment)
	n, _ := spec.PreviewNumber(y.Line.Environment)
	return cmp.Compare(m, n)
}
