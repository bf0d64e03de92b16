// Package github speaks GitHub's REST API for the rest of the product: check runs, deployments, comments on pull
// requests and commit statuses, written as a GitHub App or with a token, what is known of pull requests, and the two
// ends of a workflow's ID token (asking for one, and the keys that it is checked with).
//
// Start with [NewApp] in the cluster or [NewToken] in a workflow, then [Client.UpsertCheckRun] and
// [Client.FindCheckRun], and the other methods that begin with Upsert. Promises: one retry layer; GitHub's rate limits
// are obeyed and a long one is handed back as [RateLimitedError]; the writes of one installation are serialised, and a
// verdict goes before the others; a write that got no answer is looked up before it is done again; no token is ever in
// an error.
package github

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultBaseURL = "https://api.github.com"

	// apiVersion is sent with every request, so that an answer keeps its shape.
	// https://docs.github.com/en/rest/about-the-rest-api/api-versions
	apiVersion = "2022-11-28"

	userAgent = "inhaul"

	maxBodyBytes   = 1 << 20
	requestTimeout = 10 * time.Second
)

// Client is GitHub's REST API behind one credential. It is safe for concurrent use; the writes of one
// installation wait for each other.
type Client struct {
	base       *url.URL
	http       *http.Client
	credential credential
	logger     *slog.Logger
	now        func() time.Time
	pace       Pace
	lanes      lanes
	etags      etagCache
	meter      Meter
	mayWrite   func() error
	user       user

	// appID is the App that this client writes as; 0 means the workflow's own App (GITHUB_TOKEN).
	appID int64
}

// Pace bounds how fast a Client goes and how long it waits. The zero value is what GitHub asks for.
type Pace struct {
	// MaxWait bounds the time that one call spends waiting for a rate limit; 0 means 2 minutes.
	MaxWait time.Duration
	// WriteSpacing is the time between the end of one write and the start of the next; 0 means 1 second, negative none.
	// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
	WriteSpacing time.Duration
	// RetryWait is the first wait after a server or network error, doubled and jittered; 0 means 500 ms.
	RetryWait time.Duration
}

func (p Pace) withDefaults() Pace {
	if p.MaxWait == 0 {
		p.MaxWait = 2 * time.Minute
	}
	if p.WriteSpacing == 0 {
		p.WriteSpacing = time.Second
	}
	if p.RetryWait == 0 {
		p.RetryWait = 500 * time.Millisecond
	}
	return p
}

// AppConfig says which GitHub App to be. AppID and PrivateKey are needed, the rest has defaults.
type AppConfig struct {
	BaseURL    string // root of the REST API; default https://api.github.com
	AppID      int64
	PrivateKey *rsa.PrivateKey
	// Permissions asked for in installation tokens; default what all methods together need: checks, deployments,
	// pull_requests and statuses: write, metadata: read. An installation that grants less gets along with that: what it
	// does not permit is refused with [ErrNotPermitted].
	Permissions map[string]string
	HTTP        *http.Client
	Logger      *slog.Logger
	Now         func() time.Time
	Pace        Pace
	Meter       Meter // nil: nobody counts
	// MayWrite is asked in the last moment before a write is sent, retries included; its error ends the request. A
	// process that was paused must not write what somebody else knows better by now. nil: it may.
	MayWrite func() error
}

// Meter counts what GitHub answers. It is called at every try, concurrently.
type Meter interface {
	// Answered is told the HTTP status of an answer; 0 where none came.
	Answered(status int)
	// Limited is told how long GitHub wants no request.
	Limited(wait time.Duration)
}

type unmetered struct{}

func (unmetered) Answered(int)          {}
func (unmetered) Limited(time.Duration) {}

// TokenConfig says which ready-made token to use, for example a workflow's GITHUB_TOKEN.
type TokenConfig struct {
	BaseURL string // root of the REST API; default https://api.github.com
	Token   string
	HTTP    *http.Client
	Logger  *slog.Logger
	Now     func() time.Time
	Pace    Pace
	Meter   Meter // nil: nobody counts
	// MayWrite is as in [AppConfig].
	MayWrite func() error
}

// NewApp returns a client that acts as a GitHub App, with one installation token per account that installed it.
func NewApp(cfg AppConfig) (*Client, error) {
	if cfg.AppID <= 0 {
		return nil, fmt.Errorf("GitHub App id %d is not positive", cfg.AppID)
	}
	if cfg.PrivateKey == nil {
		return nil, errors.New("a GitHub App needs its private key")
	}
	c, err := newClient(cfg.BaseURL, cfg.HTTP)
	if err != nil {
		return nil, err
	}
	c.logger, c.now, c.pace = orDiscard(cfg.Logger), orWallClock(cfg.Now), cfg.Pace.withDefaults()
	c.appID = cfg.AppID
	c.watched(cfg.Meter, cfg.MayWrite)
	c.credential, err = newApp(c, cfg)
	return c, err
}

// NewToken returns a client that sends cfg.Token with every request. The token's form and length are not looked at.
func NewToken(cfg TokenConfig) (*Client, error) {
	if strings.TrimSpace(cfg.Token) == "" {
		return nil, errors.New("the GitHub token is empty")
	}
	c, err := newClient(cfg.BaseURL, cfg.HTTP)
	if err != nil {
		return nil, err
	}
	c.logger, c.now, c.pace = orDiscard(cfg.Logger), orWallClock(cfg.Now), cfg.Pace.withDefaults()
	c.watched(cfg.Meter, cfg.MayWrite)
	c.credential = fixedToken(strings.TrimSpace(cfg.Token))
	return c, nil
}

func (c *Client) watched(meter Meter, mayWrite func() error) {
	if meter != nil {
		c.meter = meter
	}
	if mayWrite != nil {
		c.mayWrite = mayWrite
	}
}

func newClient(baseURL string, from *http.Client) (*Client, error) {
	if baseURL == "" {
		baseURL = defaultBaseURL
	}
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, fmt.Errorf("GitHub API address %q: want https://host/path", baseURL)
	}
	c := &Client{base: base, meter: unmetered{}, mayWrite: func() error { return nil }}
	c.http = boundedHTTP(from)
	c.http.CheckRedirect = c.stayOnHost
	return c, nil
}

// stayOnHost follows GitHub's redirects for renamed repositories and refuses to take the token anywhere else.
func (c *Client) stayOnHost(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	if req.URL.Scheme != c.base.Scheme || req.URL.Host != c.base.Host {
		return fmt.Errorf("%w: to %s://%s, away from %s", errRedirect, req.URL.Scheme, req.URL.Host, c.base.Host)
	}
	return nil
}

func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

func orWallClock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now //nolint:forbidigo // the one default; every caller that cares passes its own clock
	}
	return now
}
