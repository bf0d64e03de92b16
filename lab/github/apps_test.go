package github

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	product "github.com/inhaul/inhaul/internal/github"
)

func manifestOf(permissions map[string]any) string {
	return object("name", "Deploys of acme", "url", "https://example.com", "redirect_url", "http://127.0.0.1:1/done", "public", false,
		"default_permissions", permissions)
}

// posted posts a manifest and returns where that leads.
func (st *stand) posted(path, manifest string) (*url.URL, int) {
	st.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(st.Context(), http.MethodPost, st.url+path, strings.NewReader(url.Values{"manifest": {manifest}}.Encode()))
	if err != nil {
		st.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		st.Fatal(err)
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		to = &url.URL{}
	}
	return to, resp.StatusCode
}

type converted struct {
	ID            int64
	Slug, PEM     string
	ClientID      string  `json:"client_id"`
	WebhookSecret *string `json:"webhook_secret"`
	HTMLURL       string  `json:"html_url"`
	Permissions   map[string]string
}

// made makes an App with those permissions and returns a client of it.
func (st *stand) made(permissions map[string]any) (converted, *product.Client) {
	st.Helper()
	to, status := st.posted("/settings/apps/new?state=abc", manifestOf(permissions))
	if status != http.StatusFound || to.Query().Get("state") != "abc" || to.Host != "127.0.0.1:1" {
		st.Fatalf("got %d to %v, want a redirect with the state", status, to)
	}
	status, _, answer := st.ask("POST", "/app-manifests/"+to.Query().Get("code")+"/conversions", "", "")
	var app converted
	if err := json.Unmarshal(answer, &app); err != nil || status != http.StatusCreated {
		st.Fatalf("got %d %s, %v", status, answer, err)
	}
	if status, _, _ := st.ask("POST", "/app-manifests/"+to.Query().Get("code")+"/conversions", "", ""); status != http.StatusNotFound {
		st.Errorf("got %d for a code that was used, want 404", status)
	}
	key, err := product.ParsePrivateKey([]byte(app.PEM))
	if err != nil {
		st.Fatal(err)
	}
	c, err := product.NewApp(product.AppConfig{BaseURL: st.url, AppID: app.ID, PrivateKey: key, Pace: quick()})
	if err != nil {
		st.Fatal(err)
	}
	return app, c
}

func TestAnAppFromAManifestIsUsable(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	app, c := st.made(map[string]any{"checks": "write", "deployments": "write", "statuses": "write", "pull_requests": "write", "contents": "read"})
	if app.Slug != "deploys-of-acme" || app.WebhookSecret != nil || app.ClientID == "" || app.HTMLURL == "" || app.Permissions["contents"] != "read" {
		t.Errorf("got %+v, want GitHub's answer without a webhook", app)
	}
	for kind, write := range ways() {
		if _, err := write(st, c, "one"); err != nil {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	if _, err := c.UpsertCheckRun(t.Context(), running()); err != nil {
		t.Error(err)
	}
	if run := st.server.state.CheckRuns[0]; run.AppID != app.ID {
		t.Errorf("got a check run of App %d, want %d", run.AppID, app.ID)
	}
	st.restart()
	if _, err := c.UpsertCheckRun(t.Context(), completed()); err != nil {
		t.Errorf("after a restart: got %v", err)
	}
	elsewhere := running()
	elsewhere.Repository = "other/app"
	st.run(`{"repository":"other/app"}`)
	if _, err := c.UpsertCheckRun(t.Context(), elsewhere); err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("got %v, want that the App is not installed at another owner's", err)
	}
	st.noViolations()
}

func TestABrowserIsAskedBeforeAnAppIsMade(t *testing.T) {
	t.Parallel()
	st := start(t)
	form := url.Values{"manifest": {manifestOf(map[string]any{"checks": "write"})}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, st.url+"/organizations/zeta/settings/apps/new?state=%22x", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page := make([]byte, 4096)
	n, _ := resp.Body.Read(page)
	for _, want := range []string{"Create GitHub App for zeta", "checks: write", `action="?state=%22x"`, `name="sure"`} {
		if !strings.Contains(string(page[:n]), want) {
			t.Errorf("got %s, want %s in it", page[:n], want)
		}
	}
}

func TestAManifestThatGitHubWouldNotTakeIsRefused(t *testing.T) {
	t.Parallel()
	st := start(t)
	good := map[string]any{"name": "a", "url": "https://example.com", "redirect_url": "http://localhost:1/"}
	for name, change := range map[string]map[string]any{
		"nothing wrong":            {},
		"no name":                  {"name": ""},
		"a long name":              {"name": strings.Repeat("a", 35)},
		"no url":                   {"url": ""},
		"no redirect":              {"redirect_url": ""},
		"an unknown permission":    {"default_permissions": map[string]any{"chex": "write"}},
		"an unknown level":         {"default_permissions": map[string]any{"checks": "all"}},
		"a hook without address":   {"hook_attributes": map[string]any{"active": true}},
		"events without a webhook": {"default_events": []string{"push"}},
	} {
		body := map[string]any{}
		for _, part := range []map[string]any{good, change} {
			maps.Copy(body, part)
		}
		want := http.StatusUnprocessableEntity
		if len(change) == 0 {
			want = http.StatusFound
		}
		if _, status := st.posted("/settings/apps/new", string(must(json.Marshal(body)))); status != want {
			t.Errorf("%s: got %d, want %d", name, status, want)
		}
	}
}

func TestAnInstallationThatGrantsLessGetsAlong(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	_, c := st.made(map[string]any{"checks": "write", "statuses": "read"})
	if _, err := c.UpsertCheckRun(t.Context(), running()); err != nil {
		t.Fatalf("got %v of what is granted", err)
	}
	for kind, permission := range map[string]string{
		"deployment": "deployments: write", "status": "statuses: write", "comment": "pull_requests: write",
	} {
		_, err := ways()[kind](st, c, "one")
		if !errors.Is(err, product.ErrNotPermitted) || !strings.Contains(err.Error(), permission) {
			t.Errorf("%s: got %v, want %v that names %s", kind, err, product.ErrNotPermitted, permission)
		}
	}
	for _, made := range st.server.state.Tokens {
		if made.AppID != actionsAppID && (made.Permissions["statuses"] != "read" || made.Permissions["deployments"] != "") {
			t.Errorf("got a token with %v, want what is granted", made.Permissions)
		}
	}
	_, nothing := st.made(map[string]any{"actions": "read"})
	if _, err := nothing.UpsertCheckRun(t.Context(), running()); !errors.Is(err, product.ErrNotPermitted) {
		t.Errorf("an App that may nothing of it: got %v, want %v", err, product.ErrNotPermitted)
	}
	st.noViolations()
}

func TestWhatIsGrantedLaterIsUsedByTheNextToken(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	st.lab("POST", "/_lab/app", `{"permissions":{"checks":"write","metadata":"read"}}`, nil)
	if err := st.app().UpsertStatus(t.Context(), stating("pending")); !errors.Is(err, product.ErrNotPermitted) {
		t.Errorf("got %v, want %v", err, product.ErrNotPermitted)
	}
	st.lab("POST", "/_lab/app", `{}`, nil)
	if err := st.app().UpsertStatus(t.Context(), stating("pending")); err != nil {
		t.Errorf("got %v after it was granted", err)
	}
	st.noViolations()
}
