package cluster

import (
	"context"
	"sync"

	"github.com/inhaul/inhaul/agent"
)

// changes hands lines from the cache to whoever reads them. A line that changes
// again before it is read is delivered once, and noting never waits.
type changes struct {
	out  chan agent.Line
	wake chan struct{}

	mu      sync.Mutex
	pending map[agent.Line]bool
}

func newChanges() *changes {
	return &changes{out: make(chan agent.Line), wake: make(chan struct{}, 1), pending: map[agent.Line]bool{}}
}

func (c *changes) note(line agent.Line) {
	c.mu.Lock()
	c.pending[line] = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *changes) take() []agent.Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := make([]agent.Line, 0, len(c.pending))
	for line := range c.pending {
		lines = append(lines, line)
	}
	clear(c.pending)
	return lines
}

// deliver sends what is noted until ctx ends, then closes the channel.
func (c *changes) deliver(ctx context.Context) {
	defer close(c.out)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		for _, line := range c.take() {
			select {
			case <-ctx.Done():
				return
			case c.out <- line:
			}
		}
	}
}

// bells wake the watchers of an app when one of its objects changes.
type bells struct {
	mu       sync.Mutex
	watchers map[string]map[chan struct{}]bool
}

// listen returns a channel that holds one token after key was rung, however
// often; stop ends that.
func (b *bells) listen(key string) (rung <-chan struct{}, stop func()) {
	bell := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers == nil {
		b.watchers = map[string]map[chan struct{}]bool{}
	}
	if b.watchers[key] == nil {
		b.watchers[key] = map[chan struct{}]bool{}
	}
	b.watchers[key][bell] = true
	return bell, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers[key], bell)
		if len(b.watchers[key]) == 0 {
			delete(b.watchers, key)
		}
	}
}

func (b *bells) ring(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for bell := range b.watchers[key] {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}
