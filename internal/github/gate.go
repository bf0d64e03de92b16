package github

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gate lets one caller in at a time; unlike a mutex, a caller whose context ends stops waiting.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// gates are gates by key.
type gates[K comparable] struct {
	mu  sync.Mutex
	all map[K]gate
}

func (g *gates[K]) of(key K) gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[K]gate{}
	}
	if g.all[key] == nil {
		g.all[key] = newGate()
	}
	return g.all[key]
}

// maxHold is how long one write keeps the others waiting. One that takes longer hangs, and a repository that hangs must
// not hold up the others of its account: GitHub's own writes take well under a second.
const maxHold = 2 * time.Second

// turns lets one caller in at a time: the most urgent first, and those alike in the order they came.
type turns struct {
	mu      sync.Mutex
	taken   bool
	waiting [verdict + 1][]chan struct{} // by urgency
}

func (q *turns) enter(ctx context.Context, kind urgency) error {
	q.mu.Lock()
	if !q.taken {
		q.taken = true
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	q.waiting[kind] = append(q.waiting[kind], turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	at := slices.Index(q.waiting[kind], turn)
	if at >= 0 {
		q.waiting[kind] = slices.Delete(q.waiting[kind], at, at+1)
	}
	q.mu.Unlock()
	if at < 0 { // its turn came at the same time: it is passed on
		q.leave()
	}
	return ctx.Err()
}

func (q *turns) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for kind := verdict; kind >= decoration; kind-- {
		if len(q.waiting[kind]) > 0 {
			close(q.waiting[kind][0])
			q.waiting[kind] = slices.Delete(q.waiting[kind], 0, 1)
			return
		}
	}
	q.taken = false
}

// writeGate serialises writes and keeps them apart.
type writeGate struct {
	turns
	last time.Time // end of the last write; guarded by turns
}

// space returns when spacing has passed since the last write.
func (g *writeGate) space(ctx context.Context, now func() time.Time, spacing time.Duration) error {
	if g.last.IsZero() {
		return ctx.Err()
	}
	// A clock that was set back must not hold writes for longer than one spacing.
	return pause(ctx, min(spacing-now().Sub(g.last), spacing))
}

// hold keeps the gate until the result is called, which may be done more than once, or for maxHold.
func (g *writeGate) hold(now func() time.Time) (leave func()) {
	var once sync.Once
	end := func() {
		once.Do(func() {
			g.last = now()
			g.leave()
		})
	}
	timer := time.AfterFunc(maxHold, end)
	return func() { timer.Stop(); end() }
}

// pause waits for d or for the end of ctx, whichever comes first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
