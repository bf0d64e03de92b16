package github

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	product "github.com/inhaul/inhaul/internal/github"
)

// overheard notes what Prism answers.
type overheard struct {
	mu       sync.Mutex
	requests []string // "GET /repos/acme/storefront/pulls"
	refusals []string
}

// RoundTrip knows the exceptions, where GitHub does not keep to its description itself:
//   - it asks for application/vnd.github+json, and describes application/json alone;
//   - its example of a pull request lacks requested_teams[0].type, so that Prism has to make one up;
//   - its example of a Link header has a next page for ever.
func (o *overheard) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if req.Header.Get("Accept") != "application/vnd.github+json" {
		return nil, fmt.Errorf("%s %s: got Accept %q, want GitHub's own", req.Method, req.URL.Path, req.Header.Get("Accept"))
	}
	req.Header.Set("Accept", "application/json")
	if strings.Contains(req.URL.Path, "/pulls") {
		req.Header.Set("Prefer", "dynamic=true")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.Header.Del("Link")
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, req.Method+" "+req.URL.Path)
	if breaches := resp.Header.Get("Sl-Violations"); resp.StatusCode >= http.StatusBadRequest || breaches != "" {
		o.refusals = append(o.refusals, fmt.Sprintf("%s %s: %d %.600s %.600s", req.Method, req.URL.RequestURI(), resp.StatusCode, body, breaches))
	}
	return resp, nil
}

// everyCall is what the product asks of GitHub. Prism has no memory and answers with the examples of the description: what is
// looked for is never there, so both ways of each method have their row. It answers the number of another pull
// request, which the client must notice; the only error that is right here.
func everyCall(ctx context.Context, c *product.Client) map[string]error {
	annotated, long := running(), completed()
	annotated.Annotations = []product.Annotation{{Path: "inhaul.yaml", Line: 3, Level: "failure", Title: "t", Message: "m"}}
	annotated.DetailsURL = "https://example.com"
	long.ID, long.Summary, long.Text = 1, strings.Repeat("ü", 65535), strings.Repeat("<", 70000)
	reopened := annotated
	reopened.ID = 1
	transient := deploying("inactive")
	transient.ID, transient.Environment, transient.Transient, transient.Production = 1, "pr-7", true, false
	known := commenting(strings.Repeat("ü", 70000))
	known.ID = 1
	made := map[string]error{}
	upsert := func(name string, _ int64, err error) { made[name] = err }
	id, err := c.UpsertCheckRun(ctx, annotated)
	upsert("a new check run with annotations", id, err)
	id, err = c.UpsertCheckRun(ctx, reopened)
	upsert("one that is there", id, err)
	id, err = c.UpsertCheckRun(ctx, long)
	upsert("a long verdict", id, err)
	_, _, made["looking for a check run"] = c.FindCheckRun(ctx, "acme/storefront", testSHA, "inhaul / production", "sha256:aa")
	for _, state := range []string{"", "error", "failure", "inactive", "in_progress", "queued", "pending", "success"} {
		id, err = c.UpsertDeployment(ctx, deploying(state))
		upsert("a deployment, "+state, id, err)
	}
	id, err = c.UpsertDeployment(ctx, transient)
	upsert("one that is there, of a preview", id, err)
	id, err = c.UpsertComment(ctx, commenting("Live"))
	upsert("a new comment", id, err)
	id, err = c.UpsertComment(ctx, known)
	upsert("a long one that is there", id, err)
	for _, state := range []string{"error", "failure", "pending", "success"} {
		made["a commit status, "+state] = c.UpsertStatus(ctx, stating(state))
	}
	_, made["the pull requests of a commit"] = c.PullRequestHas(ctx, "acme/storefront", 7, testSHA)
	_, made["the open pull requests"] = c.OpenPullRequests(ctx, "acme/storefront")
	if _, err := c.PullRequest(ctx, "acme/storefront", 7); err == nil || !strings.Contains(err.Error(), "the answer is no pull request") {
		made["a pull request"] = fmt.Errorf("got %w, want that it is another one", err)
	}
	return made
}

// TestASecondOpinionOnTheProductsClient is `make contract`.
func TestASecondOpinionOnTheProductsClient(t *testing.T) {
	t.Parallel()
	address := os.Getenv("LAB_PRISM_URL")
	if address == "" {
		t.Skip("NOTHING WAS TESTED: LAB_PRISM_URL names no Prism with GitHub's description; `make contract` starts one")
	}
	key, err := loadAppKey(filepath.Join(t.TempDir(), "app.pem"))
	if err != nil {
		t.Fatal(err)
	}
	heard := &overheard{}
	transport := &http.Client{Transport: heard}
	app, err := product.NewApp(product.AppConfig{BaseURL: address, AppID: AppID, PrivateKey: key, HTTP: transport, Pace: quick()})
	if err != nil {
		t.Fatal(err)
	}
	token, err := product.NewToken(product.TokenConfig{BaseURL: address, Token: "ghs_x", HTTP: transport, Pace: quick()})
	if err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]*product.Client{"an App": app, "a token": token} {
		for name, err := range everyCall(t.Context(), c) {
			if err != nil {
				t.Errorf("%s, %s: got %v", who, name, err)
			}
		}
	}
	for _, refusal := range heard.refusals {
		t.Errorf("refused: %s", refusal)
	}
	for _, want := range []string{
		"GET /repos/acme/storefront/installation", "POST /app/installations/1/access_tokens",
		"POST /repos/acme/storefront/check-runs", "PATCH /repos/acme/storefront/check-runs/1", "GET /repos/acme/storefront/check-runs/1",
		"GET /repos/acme/storefront/commits/" + testSHA + "/check-runs",
		"POST /repos/acme/storefront/deployments", "GET /repos/acme/storefront/deployments",
		"POST /repos/acme/storefront/deployments/1/statuses", "GET /repos/acme/storefront/deployments/1/statuses",
		"POST /repos/acme/storefront/issues/7/comments", "GET /repos/acme/storefront/issues/7/comments",
		"GET /repos/acme/storefront/issues/comments/1", "PATCH /repos/acme/storefront/issues/comments/1",
		"POST /repos/acme/storefront/statuses/" + testSHA, "GET /repos/acme/storefront/commits/" + testSHA + "/status",
		"GET /repos/acme/storefront/commits/" + testSHA + "/pulls", "GET /repos/acme/storefront/pulls", "GET /repos/acme/storefront/pulls/7",
	} {
		if !slices.Contains(heard.requests, want) {
			t.Errorf("Prism was never asked: %s", want)
		}
	}
	t.Logf("%d requests, %d refused", len(heard.requests), len(heard.refusals))
}
