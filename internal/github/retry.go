package github

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	maxTries     = 4
	maxRedirects = 5

	// maxRetryWait caps one wait after a server or network error.
	maxRetryWait = 10 * time.Second

	// minSecondaryWait is the least wait when GitHub limits without saying for how long; it doubles each time.
	// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
	minSecondaryWait = time.Minute
	maxSecondaryWait = 15 * time.Minute

	// maxSaneWait caps what a server may ask for, against overflow and nonsense.
	maxSaneWait = 24 * time.Hour

	// maxPeekBytes is how much of a refusal is read to tell a rate limit from a missing permission.
	maxPeekBytes = 64 << 10
)

// rateLimit is what GitHub last said about waiting.
type rateLimit struct {
	mu      sync.Mutex
	until   time.Time // no request before this
	strikes int       // limits in a row without a stated wait
}

// remaining is how long no request may be sent.
func (l *rateLimit) remaining(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.until.Sub(now), 0)
}

// observe notes an answer and says whether it was a rate limit, and for how long.
func (l *rateLimit) observe(resp *http.Response, now time.Time) (wait time.Duration, limited bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isRateLimit(resp) {
		if resp.StatusCode < http.StatusBadRequest {
			l.strikes = 0
		}
		return 0, false
	}
	wait, stated := statedWait(resp.Header, now)
	if !stated {
		wait = min(minSecondaryWait<<min(l.strikes, 8), maxSecondaryWait)
		l.strikes++
	}
	l.until = later(l.until, now.Add(wait))
	return wait, true
}

// hold lets no request through before until.
func (l *rateLimit) hold(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = later(l.until, until)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// statedWait reads GitHub's headers in the order that its documentation gives.
func statedWait(h http.Header, now time.Time) (time.Duration, bool) {
	if wait, ok := retryAfter(h); ok {
		return wait, true
	}
	if h.Get("X-Ratelimit-Remaining") != "0" {
		return 0, false
	}
	reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64)
	if err != nil {
		return 0, false
	}
	// Whole seconds on both sides: one more keeps us from arriving early.
	return min(max(time.Unix(reset, 0).Sub(now), 0)+time.Second, maxSaneWait), true
}

func retryAfter(h http.Header) (time.Duration, bool) {
	seconds, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32)
	if err != nil || seconds < 0 {
		return 0, false
	}
	return min(time.Duration(seconds)*time.Second, maxSaneWait), true
}

// isRateLimit tells a rate limit from the other meaning of 403, a missing permission. GitHub marks the second kind
// of rate limit by its text alone.
func isRateLimit(resp *http.Response) bool {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return true
	case resp.StatusCode != http.StatusForbidden:
		return false
	case resp.Header.Get("Retry-After") != "", resp.Header.Get("X-Ratelimit-Remaining") == "0":
		return true
	}
	text := strings.ToLower(peek(resp))
	return strings.Contains(text, "rate limit") || strings.Contains(text, "abuse detection")
}

// peek reads the start of the body and puts it back.
func peek(resp *http.Response) string {
	start, err := io.ReadAll(io.LimitReader(resp.Body, maxPeekBytes))
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), rest}
	if err != nil {
		return ""
	}
	return string(start)
}

// tries is the retry policy of one request: what to do after each answer, and how long to wait before the next.
type tries struct {
	client   *Client
	lane     *lane
	write    bool
	creates  bool
	precedes bool // it looks for what would be created next
	urgency  urgency
	leave    func() // lets the next write in; nil before the first try of a write
	// recheck runs before a try that follows an answer lost on the way; its error ends the request.
	recheck func(context.Context) error

	next    time.Duration // wait before the next try; 0 means back off
	waited  time.Duration // spent on rate limits so far
	limited time.Duration // what the last answer asked for, if it was a rate limit
	lost    bool          // the last answer did not arrive, or was a server error: the write may have happened
}

// client builds the retrying client of one request around the shared http.Client.
func (t *tries) retrying() *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient:   t.client.http,
		RetryMax:     maxTries - 1,
		RetryWaitMin: t.client.pace.RetryWait,
		RetryWaitMax: maxRetryWait,
		CheckRetry:   t.check,
		Backoff:      t.backoff,
		PrepareRetry: t.prepare,
		ErrorHandler: answerOrError,
	}
}

// answerOrError hands the last answer back as it is, instead of retryablehttp's summary.
func answerOrError(resp *http.Response, err error, _ int) (*http.Response, error) {
	if err != nil && resp != nil && resp.Body != nil {
		err = errors.Join(err, resp.Body.Close())
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (t *tries) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	t.done()
	t.next, t.limited, t.lost = 0, 0, false
	t.client.meter.Answered(statusOf(resp, err))
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		t.lost = true
		if errors.Is(err, errRedirect) {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	wait, limited := t.client.lanes.observe(t.lane, resp, t.client.now())
	if limited {
		t.client.meter.Limited(wait)
		t.next, t.limited = wait, max(wait, time.Nanosecond)
		if t.waited+wait > t.client.pace.MaxWait {
			return false, nil
		}
		t.waited += wait
		return true, nil
	}
	if resp.StatusCode < http.StatusInternalServerError || resp.StatusCode == http.StatusNotImplemented {
		return false, nil
	}
	t.lost = true
	if wait, ok := retryAfter(resp.Header); ok && wait <= t.client.pace.MaxWait {
		t.next = wait
	}
	return true, nil
}

func (t *tries) backoff(first, most time.Duration, attempt int, _ *http.Response) time.Duration {
	wait := t.next
	if wait == 0 && t.limited == 0 {
		wait = jittered(first, most, attempt)
	}
	t.client.logger.Debug("github request is tried again", "duration", wait, "reason", t.reason())
	return wait
}

func (t *tries) reason() string {
	if t.limited > 0 {
		return "rate limit"
	}
	return "server or network error"
}

// prepare runs after the wait before another try: only a try holds the other writes of its lane up.
func (t *tries) prepare(req *http.Request) error {
	if t.recheck != nil && t.lost {
		if err := t.recheck(req.Context()); err != nil {
			return err
		}
	}
	return t.enter(req.Context())
}

// done lets the next write in; it may be called at any time.
func (t *tries) done() {
	if t.leave != nil {
		t.leave()
	}
}

func statusOf(resp *http.Response, err error) int {
	if err != nil || resp == nil {
		return 0
	}
	return resp.StatusCode
}

// jittered doubles first with each attempt up to most, and takes a random point in the upper half.
func jittered(first, most time.Duration, attempt int) time.Duration {
	wait := min(first<<min(attempt, 16), most)
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // spreads load, guards nothing
}
