package agent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func there(number int, phase PreviewPhase, active int) Preview {
	return Preview{
		Line: Line{App: "storefront", Environment: previewEnvironment(number)}, Phase: phase, LastPushAt: minutes(active), ActiveAt: minutes(active),
	}
}

// queued is a preview that waits, with a push of that minute.
func queued(number, pushed int, evicted bool) Preview {
	p := there(number, PreviewWaiting, pushed)
	p.Waiting = &Parked{Evicted: evicted}
	p.Waiting.Release.Source.EventAt = minutes(pushed)
	return p
}

func namesOf(lines []Line) string {
	var names []string
	for _, l := range lines {
		names = append(names, l.Environment)
	}
	return fmt.Sprint(names)
}

func TestRoom(t *testing.T) {
	t.Parallel()
	kept, asleep, coming := there(1, PreviewActive, 1), there(3, PreviewActive, 30), there(4, PreviewActive, 1)
	kept.Labels, asleep.AsleepAt = []string{"keep"}, minutes(40)
	coming.Waiting = &Parked{}
	used := there(2, PreviewActive, 2)
	used.ActiveAt = minutes(70)
	goes := queued(9, 60, false)
	goes.Phase = PreviewDestroying
	for name, test := range map[string]struct {
		previews    []Preview
		limit       int
		open, evict string
	}{
		"a place is free":                              {[]Preview{there(1, PreviewActive, 1), queued(9, 60, false)}, 2, "[pr-9]", "[]"},
		"the oldest idle goes":                         {[]Preview{there(1, PreviewActive, 5), there(2, PreviewActive, 3), queued(9, 60, false)}, 2, "[]", "[pr-2]"},
		"use counts as much as a push":                 {[]Preview{there(1, PreviewActive, 5), used, queued(9, 60, false)}, 2, "[]", "[pr-1]"},
		"who sleeps goes before who is awake":          {[]Preview{there(1, PreviewActive, 5), asleep, queued(9, 60, false)}, 2, "[]", "[pr-3]"},
		"what is kept stays":                           {[]Preview{kept, there(2, PreviewActive, 3), queued(9, 60, false)}, 2, "[]", "[pr-2]"},
		"all are kept":                                 {[]Preview{kept, queued(9, 60, false)}, 1, "[]", "[]"},
		"all were used since":                          {[]Preview{used, queued(9, 60, false)}, 1, "[]", "[]"},
		"one is on its way out already":                {[]Preview{there(1, PreviewDestroying, 1), there(2, PreviewActive, 3), queued(9, 60, false)}, 2, "[]", "[]"},
		"what is just being made stays":                {[]Preview{coming, queued(9, 60, false)}, 1, "[]", "[]"},
		"each newcomer has one go":                     {[]Preview{there(1, PreviewActive, 1), there(2, PreviewActive, 2), queued(8, 60, false), queued(9, 61, false)}, 2, "[]", "[pr-1 pr-2]"},
		"who made room has nobody go":                  {[]Preview{there(1, PreviewActive, 1), queued(9, 60, true)}, 1, "[]", "[]"},
		"nor has who was pushed before that":           {[]Preview{there(1, PreviewActive, 1), queued(8, 60, true), queued(9, 50, false)}, 1, "[]", "[]"},
		"newest push first":                            {[]Preview{queued(7, 50, false), queued(8, 60, true), queued(9, 40, false)}, 2, "[pr-8 pr-7]", "[]"},
		"within a second the newcomer first":           {[]Preview{queued(8, 60, true), queued(9, 60, false)}, 1, "[pr-9]", "[]"},
		"not while its own namespace goes":             {[]Preview{goes, queued(8, 50, true)}, 2, "[pr-8]", "[]"},
		"nobody goes because the limit is lower":       {[]Preview{there(1, PreviewActive, 1), there(2, PreviewActive, 2), queued(9, 60, true)}, 1, "[]", "[]"},
		"a newcomer then has all go that are too many": {[]Preview{there(1, PreviewActive, 1), there(2, PreviewActive, 2), queued(9, 60, false)}, 1, "[]", "[pr-1 pr-2]"},
		"nobody goes in vain":                          {[]Preview{kept, there(2, PreviewActive, 2), queued(9, 60, false)}, 1, "[]", "[]"},
	} {
		d := Room(test.previews, test.limit, "keep")
		if namesOf(d.Open) != test.open || namesOf(d.Evict) != test.evict {
			t.Errorf("%s: got %s come and %s go, want %s and %s", name, namesOf(d.Open), namesOf(d.Evict), test.open, test.evict)
		}
		if n := len(d.Open) + len(d.Hold); n != len(slices.DeleteFunc(slices.Clone(test.previews), func(p Preview) bool { return p.Waiting == nil || p.Phase == PreviewActive })) {
			t.Errorf("%s: got %+v, want every one that waits in it once", name, d)
		}
	}
}

// town is an app's previews over a random time, each step carried out as the agent does.
type town struct {
	*rand.Rand
	t        *testing.T
	previews []Preview
	limit    int
	minute   int
}

func (o *town) there() int {
	n := 0
	for _, p := range o.previews {
		if p.Phase == PreviewActive || p.Phase == PreviewDestroying {
			n++
		}
	}
	return n
}

// act carries one decision out, and checks it against what Room promises.
func (o *town) act() (changed bool) {
	before := slices.Clone(o.previews)
	d := Room(o.previews, o.limit, "keep")
	for i := range o.previews {
		p := &o.previews[i]
		switch {
		case slices.Contains(d.Evict, p.Line):
			o.checkVictim(*p, before, d)
			p.Phase, p.Waiting = PreviewDestroying, &Parked{Evicted: true}
			p.Waiting.Release.Source.EventAt = p.LastPushAt
		case slices.Contains(d.Open, p.Line):
			p.Phase, p.LastPushAt, p.Waiting, p.AsleepAt = PreviewActive, p.Waiting.Release.Source.EventAt, nil, time.Time{}
		}
	}
	if n := o.there(); len(d.Open) > 0 && n > o.limit {
		o.t.Fatalf("minute %d: got %d previews, want at most %d", o.minute, n, o.limit)
	}
	return len(d.Evict)+len(d.Open) > 0
}

func (o *town) checkVictim(victim Preview, before []Preview, d RoomDecision) {
	o.t.Helper()
	var newest, oldest time.Time // of the pushes that somebody may go for
	for _, p := range before {
		if p.Waiting != nil && !p.Waiting.Evicted {
			newest, oldest = later(newest, p.Waiting.Release.Source.EventAt), earlier(oldest, p.Waiting.Release.Source.EventAt)
		}
	}
	for _, p := range before {
		stays := p.Phase == PreviewActive && p.Waiting == nil && !slices.Contains(p.Labels, "keep") && !slices.Contains(d.Evict, p.Line)
		if stays && byIdleness(p, victim) < 0 && !p.activity().After(oldest) {
			o.t.Fatalf("minute %d: %s goes and %s stays, which has been idle longer", o.minute, victim.Line, p.Line)
		}
	}
	if victim.activity().After(newest) || slices.Contains(victim.Labels, "keep") || victim.Phase != PreviewActive {
		o.t.Fatalf("minute %d: got %+v go, want none that is kept, or was used since %s", o.minute, victim, newest)
	}
}

// happen is something that people, the clock or the cluster do.
func (o *town) happen() {
	o.minute++
	number := 1 + o.IntN(12)
	i := slices.IndexFunc(o.previews, func(p Preview) bool { return p.Line.Environment == previewEnvironment(number) })
	if i < 0 {
		o.previews = append(o.previews, there(number, PreviewDestroyed, 0))
		i = len(o.previews) - 1
	}
	p := &o.previews[i]
	switch what := o.IntN(10); {
	case what < 4 && p.Phase == PreviewActive:
		p.LastPushAt, p.AsleepAt = minutes(o.minute), time.Time{}
	case what < 4:
		p.Waiting = &Parked{}
		p.Waiting.Release.Source.EventAt = minutes(o.minute - o.IntN(3))
		if p.Phase != PreviewDestroying {
			p.Phase = PreviewWaiting
		}
	case what == 4 && p.Phase == PreviewActive:
		p.Phase = PreviewDestroying
	case what == 4 && p.Phase == PreviewWaiting:
		p.Phase, p.Waiting = PreviewDestroyed, nil
	case what == 5:
		p.Labels = [][]string{nil, {"keep"}}[o.IntN(2)]
	case what == 6 && p.Phase == PreviewActive:
		p.AsleepAt = minutes(o.minute)
	case what == 7:
		p.ActiveAt = minutes(o.minute)
	case what == 8:
		o.limit = 1 + o.IntN(6)
	default:
		o.leave()
	}
}

// leave has the namespaces go that are on their way out.
func (o *town) leave() {
	for i := range o.previews {
		if p := &o.previews[i]; p.Phase == PreviewDestroying {
			if p.Phase = PreviewDestroyed; p.Waiting != nil {
				p.Phase = PreviewWaiting
			}
		}
	}
}

func TestRoomOverARandomTime(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		o := &town{Rand: rand.New(rand.NewPCG(seed, 7)), t: t, limit: 3}
		for range 150 {
			o.happen()
			for n := 0; o.act(); n++ {
				if n > 30 {
					t.Fatalf("seed %d, minute %d: it goes on for ever: %+v", seed, o.minute, o.previews)
				}
			}
			before := slices.Clone(o.previews)
			if again := o.act(); again || !cmp.Equal(before, o.previews) {
				t.Fatalf("seed %d, minute %d: got another decision of the same", seed, o.minute)
			}
		}
		o.limit = 12 // there is room for all
		for range 30 {
			o.leave()
			o.act()
		}
		for _, p := range o.previews {
			if p.Waiting != nil {
				t.Errorf("seed %d: %s waits although there is room: %+v", seed, p.Line, Room(o.previews, o.limit, "keep"))
			}
		}
	}
}

// Room has to settle also while namespaces go: newcomers come in, and who made room
// does not push others out in turn.
func TestOneGoesForOneThatComes(t *testing.T) {
	t.Parallel()
	o := &town{t: t, limit: 3, previews: []Preview{there(1, PreviewActive, 1), there(2, PreviewActive, 2), there(3, PreviewActive, 3), queued(9, 60, false)}}
	for range 10 {
		for o.act() {
		}
		o.leave()
	}
	got := map[PreviewPhase][]Line{}
	for _, p := range o.previews {
		got[p.Phase] = append(got[p.Phase], p.Line)
	}
	if namesOf(got[PreviewActive]) != "[pr-2 pr-3 pr-9]" || namesOf(got[PreviewWaiting]) != "[pr-1]" {
		t.Errorf("got %v", got)
	}
}
