package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// RegisteredApp is a GitHub App as its registration is answered. Its key is told this once and kept by nobody else.
type RegisteredApp struct {
	ID      int64  `json:"id"`
	Slug    string `json:"slug"`     // its name in addresses
	HTMLURL string `json:"html_url"` // its page
	PEM     string `json:"pem"`      // private key
}

// errAnswerLost says that another try would be for nothing: the code may be spent.
var errAnswerLost = errors.New("GitHub's answer did not arrive, and a code is good for one exchange")

// manifestCode is what a code consists of: nothing that leads to another endpoint.
var manifestCode = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// maxManifestCode is more than the code of a registration has, in bytes.
const maxManifestCode = 256

// NewAnonymous returns a client that sends no credential. GitHub lets it ask 60 times an hour, about what is public:
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
func NewAnonymous(cfg TokenConfig) (*Client, error) {
	c, err := newClient(cfg.BaseURL, cfg.HTTP)
	if err != nil {
		return nil, err
	}
	c.logger, c.now, c.pace = orDiscard(cfg.Logger), orWallClock(cfg.Now), cfg.Pace.withDefaults()
	c.credential = fixedToken("")
	return c, nil
}

// ConvertManifest exchanges the code that GitHub sent back at the end of a registration by manifest for the App. A code
// is good for one exchange within an hour.
// https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest
func (c *Client) ConvertManifest(ctx context.Context, code string) (RegisteredApp, error) {
	var made RegisteredApp
	if code == "" || len(code) > maxManifestCode || !manifestCode.MatchString(code) {
		return made, errors.New("exchanging the code of a registration: got no code such as GitHub sends")
	}
	lost := func(context.Context) error { return errAnswerLost }
	err := c.do(ctx, call{method: http.MethodPost, path: "/app-manifests/" + code + "/conversions", recheck: lost}, &made)
	if err != nil { // a code opens nothing once it was exchanged, and this one perhaps was not
		if refused, ok := errors.AsType[*APIError](err); ok {
			return RegisteredApp{}, fmt.Errorf("exchanging the code of a registration: GitHub answered %d %s", refused.Status, refused.Message)
		}
		return RegisteredApp{}, fmt.Errorf("exchanging the code of a registration: %s", strings.ReplaceAll(err.Error(), code, "…"))
	}
	if made.ID < 1 {
		return RegisteredApp{}, fmt.Errorf("exchanging the code of a registration: got the App id %d, want a positive one", made.ID)
	}
	if _, err := ParsePrivateKey([]byte(made.PEM)); err != nil {
		return RegisteredApp{}, fmt.Errorf("exchanging the code of a registration: %w", err)
	}
	return made, nil
}

// Numbers are those of a repository and of its owner: unlike names they are never given to another one.
type Numbers struct {
	ID       int64  `json:"id"`
	FullName string `json:"full_name"` // owner/name as GitHub writes it
	Owner    struct {
		ID int64 `json:"id"`
	} `json:"owner"`
}

// RepositoryNumbers returns those of a repository, "owner/name".
// https://docs.github.com/en/rest/repos/repos#get-a-repository
func (c *Client) RepositoryNumbers(ctx context.Context, repository string) (Numbers, error) {
	var n Numbers
	path, err := repositoryPath(repository)
	if err != nil {
		return n, err
	}
	if err := c.do(ctx, call{method: http.MethodGet, path: path, repository: repository}, &n); err != nil {
		return Numbers{}, fmt.Errorf("asking for the numbers of %s: %w", repository, err)
	}
	if n.ID < 1 || n.Owner.ID < 1 {
		return Numbers{}, fmt.Errorf("asking for the numbers of %s: got %d and %d, want positive ones", repository, n.ID, n.Owner.ID)
	}
	return n, nil
}
