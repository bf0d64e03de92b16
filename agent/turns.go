package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// The waits between tries of a job that failed.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = time.Minute
)

// turns runs a job per key: one at a time for each key, many keys at once. A
// key that is woken while its job runs gets another turn; a job that fails is
// tried again, ever more slowly and with jitter. A key with nothing to do costs
// nothing.
type turns[K comparable] struct {
	ctx  context.Context //nolint:containedctx // because a turn outlives the call that wakes it, and ends with this
	job  func(context.Context, K) error
	fail func(K, error, time.Duration) // told of each failure and the wait after it

	mu      sync.Mutex
	running map[K]*turn
	group   sync.WaitGroup
}

type turn struct {
	again  bool
	wake   chan struct{} // ends a wait between tries
	cancel context.CancelFunc
}

func newTurns[K comparable](ctx context.Context, job func(context.Context, K) error, fail func(K, error, time.Duration)) *turns[K] {
	return &turns[K]{ctx: ctx, job: job, fail: fail, running: map[K]*turn{}}
}

// remind gives key a turn, but where it waits between tries that wait goes on.
func (t *turns[K]) remind(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() == nil {
		t.next(key)
	}
}

// next is the turn that key has yet to get; callers hold the lock.
func (t *turns[K]) next(key K) *turn {
	current := t.running[key]
	if current == nil {
		current = &turn{wake: make(chan struct{}, 1)}
		t.running[key] = current
		t.group.Go(func() { t.run(key, current) })
	}
	current.again = true
	return current
}

// wake gives key a turn. With interrupt the job that is running for it is
// cancelled first: its work is out of date.
func (t *turns[K]) wake(key K, interrupt bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return
	}
	current := t.next(key)
	select {
	case current.wake <- struct{}{}:
	default:
	}
	if interrupt && current.cancel != nil {
		current.cancel()
	}
}

// wait returns when every job has ended; their context has to end first.
func (t *turns[K]) wait() { t.group.Wait() }

func (t *turns[K]) run(key K, current *turn) {
	retry := firstRetry
	for {
		t.mu.Lock()
		if !current.again || t.ctx.Err() != nil {
			delete(t.running, key)
			t.mu.Unlock()
			return
		}
		current.again = false
		select { // this turn answers all wakes so far
		case <-current.wake:
		default:
		}
		jobCtx, cancel := context.WithCancel(t.ctx)
		current.cancel = cancel
		t.mu.Unlock()

		err := t.job(jobCtx, key)
		interrupted := jobCtx.Err() != nil
		cancel()
		if err == nil || interrupted {
			retry = firstRetry
			continue
		}
		wait := retry/2 + rand.N(retry/2) //nolint:gosec // because jitter is no secret
		t.fail(key, err, wait)
		t.mu.Lock()
		current.again = true
		t.mu.Unlock()
		select {
		case <-t.ctx.Done():
		case <-current.wake:
		case <-time.After(wait):
		}
		retry = min(2*retry, lastRetry)
	}
}
