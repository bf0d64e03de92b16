package github

import (
	"context"
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

// writeGate serialises writes and keeps them apart.
type writeGate struct {
	gate
	last *time.Time // end of the last write; guarded by gate
}

func newWriteGate() writeGate { return writeGate{gate: newGate(), last: new(time.Time)} }

// enter returns when no other write is under way and spacing has passed since the last one. The gate is held until the
// result is called, which may be done more than once, or for maxHold.
func (g writeGate) enter(ctx context.Context, now func() time.Time, spacing time.Duration) (leave func(), err error) {
	if err := g.gate.enter(ctx); err != nil {
		return nil, err
	}
	// A clock that was set back must not hold writes for longer than one spacing.
	wait := min(spacing-now().Sub(*g.last), spacing)
	if g.last.IsZero() {
		wait = 0
	}
	if err := pause(ctx, wait); err != nil {
		g.leave()
		return nil, err
	}
	var once sync.Once
	end := func() {
		once.Do(func() {
			*g.last = now()
			g.leave()
		})
	}
	timer := time.AfterFunc(maxHold, end)
	return func() { timer.Stop(); end() }, nil
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
