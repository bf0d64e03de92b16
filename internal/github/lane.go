package github

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// ownLane is the lane of a credential without installations, and of what an App asks as itself.
const ownLane = 0

// lane is what the requests under one installation share. GitHub counts the primary rate limit per installation, so
// one that has used its own up says nothing about the others.
//
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#primary-rate-limit-for-github-app-installations
//
// GitHub asks for requests in series and a second between writes, to stay clear of secondary limits. A lane does that:
// as a client of one installation alone would.
//
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
//
// It asks for no more than 80 creating requests a minute and 500 an hour, too: the second between writes keeps the
// first, budget the other.
type lane struct {
	writes writeGate
	limit  rateLimit
	budget budget

	secondary time.Time // until when a secondary limit holds; guarded by lanes.mu
}

// lanes are the lanes of a client, by installation.
type lanes struct {
	mu  sync.Mutex
	all map[int64]*lane

	// whole holds all lanes back. GitHub does not say what a secondary limit is counted by, and to go on while limited
	// can get the whole integration banned: two lanes that run into one at the same time are taken to share it.
	//
	// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
	whole rateLimit
}

func (l *lanes) of(installation int64) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[int64]*lane{}
	}
	if l.all[installation] == nil {
		l.all[installation] = &lane{}
	}
	return l.all[installation]
}

// blocked is how long no request may be sent in mine.
func (l *lanes) blocked(mine *lane, now time.Time) time.Duration {
	return max(mine.limit.remaining(now), l.whole.remaining(now))
}

// observe notes an answer in mine and says whether it was a rate limit, and for how long.
func (l *lanes) observe(mine *lane, resp *http.Response, now time.Time) (wait time.Duration, limited bool) {
	wait, limited = mine.limit.observe(resp, now)
	if !limited || resp.Header.Get("X-Ratelimit-Remaining") == "0" {
		return wait, limited
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	mine.secondary = now.Add(wait)
	for _, other := range l.all {
		if other != mine && other.secondary.After(now) {
			l.whole.hold(mine.secondary)
		}
	}
	return wait, limited
}

// blocked is how long t may not be sent, by what GitHub said or wants.
func (t *tries) blocked(now time.Time) time.Duration {
	wait := t.client.lanes.blocked(t.lane, now)
	if t.creates || t.precedes {
		wait = max(wait, t.lane.budget.remaining(now, t.urgency))
	}
	return wait
}

// enter returns when t may be sent: no rate limit holds, the hour's budget has room, and a write has its turn. A wait
// that is too long is handed back as [RateLimitedError].
func (t *tries) enter(ctx context.Context) error {
	for {
		if blocked := t.blocked(t.client.now()); blocked > 0 {
			if t.waited+blocked > t.client.pace.MaxWait {
				return &RateLimitedError{RetryAfter: blocked}
			}
			t.waited += blocked
			if err := pause(ctx, blocked); err != nil {
				return err
			}
		}
		if !t.write {
			return ctx.Err()
		}
		if ready, err := t.turn(ctx); ready || err != nil {
			return err
		}
	}
}

// turn waits for a write's turn, which is given up if a limit has come meanwhile.
func (t *tries) turn(ctx context.Context) (ready bool, err error) {
	gate, now := &t.lane.writes, t.client.now
	if err := gate.enter(ctx, t.urgency); err != nil {
		return false, err
	}
	if t.blocked(now()) == 0 {
		err = gate.space(ctx, now, t.client.pace.WriteSpacing)
	}
	if err == nil {
		err = t.client.mayWrite()
	}
	if err != nil || t.blocked(now()) > 0 {
		gate.leave()
		return false, err
	}
	if t.creates {
		t.lane.budget.spend(now())
	}
	t.leave = gate.hold(now)
	return true, nil
}
