package github

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	product "github.com/inhaul/inhaul/internal/github"
)

// claims asks for an ID token the way the Action does and verifies it with keys.
func (st *stand) claims(keys *product.Keys, env map[string]string, audience string) map[string]any {
	st.Helper()
	token, err := product.RequestIDToken(st.Context(), env["ACTIONS_ID_TOKEN_REQUEST_URL"], env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"], audience, nil)
	if err != nil {
		st.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		st.Fatal(err)
	}
	set, err := keys.Refresh(st.Context())
	if err != nil {
		st.Fatal(err)
	}
	claims := map[string]any{}
	if err := parsed.Claims(set, &claims); err != nil {
		st.Fatal(err)
	}
	return claims
}

func TestIDTokensCarryGitHubsClaims(t *testing.T) {
	t.Parallel()
	st := start(t)
	keys := product.NewKeys(st.server.Issuer(), product.KeysConfig{})
	env := st.run(`{"repositoryID":2,"ownerID":1,"sha":"` + testSHA + `","runID":9,"runNumber":3,"environment":"production:eu","actor":"mona","actorID":5}`)
	claims := st.claims(keys, env, "inhaul.dev/intent@sha256:aa&b")
	iat, _ := claims["iat"].(float64)
	if claims["nbf"] != iat-600 || claims["exp"] != iat+300 || claims["jti"] == "" {
		t.Errorf("got times %v, %v, %v, want nbf = iat-600 and exp = iat+300", claims["nbf"], claims["iat"], claims["exp"])
	}
	for _, name := range []string{"iat", "nbf", "exp", "jti"} {
		delete(claims, name)
	}
	const file = "acme/storefront/.github/workflows/deploy.yml@refs/heads/main"
	want := map[string]any{
		"iss": st.url + "/oidc", "aud": "inhaul.dev/intent@sha256:aa&b", "sub": "repo:acme@1/storefront@2:environment:production%3Aeu",
		"repository": "acme/storefront", "repository_id": "2", "repository_owner": "acme", "repository_owner_id": "1",
		"repository_visibility": "private", "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "sha": testSHA,
		"workflow": ".github/workflows/deploy.yml", "workflow_ref": file, "workflow_sha": testSHA,
		"job_workflow_ref": file, "job_workflow_sha": testSHA, "event_name": "push", "run_id": "9", "run_number": "3", "run_attempt": "1",
		"actor": "mona", "actor_id": "5", "head_ref": "", "base_ref": "", "environment": "production:eu", "runner_environment": "github-hosted",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}

	rerun := st.claims(keys, st.run(`{"runID":9}`), "")
	if rerun["run_attempt"] != "2" || rerun["run_number"] != "3" || rerun["sha"] != testSHA || rerun["aud"] != st.url+"/acme" {
		t.Errorf("got %v for a re-run, want attempt 2 of the same run, for the owner's address", rerun)
	}
	pull := st.claims(keys, st.run(`{"event":"pull_request","ref":"refs/pull/7/merge","headRef":"fix","baseRef":"main"}`), "x")
	if pull["sub"] != "repo:acme@1/storefront@2:pull_request" || pull["environment"] != nil || pull["run_number"] != "4" || pull["ref_protected"] != "false" {
		t.Errorf("got %v for a pull request, want its subject, no environment and the next number", pull)
	}
}

func TestIDTokensAreOnlyForTheirOwnRun(t *testing.T) {
	t.Parallel()
	st := start(t)
	one, two := st.run(`{}`), st.run(`{}`)
	_, err := product.RequestIDToken(t.Context(), one["ACTIONS_ID_TOKEN_REQUEST_URL"], two["ACTIONS_ID_TOKEN_REQUEST_TOKEN"], "x", nil)
	if err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("got %v, want 401", err)
	}
	forbidden := st.run(`{"idTokenPermission":false}`)
	if _, ok := forbidden["ACTIONS_ID_TOKEN_REQUEST_URL"]; ok {
		t.Error("a run without permission got the address")
	}
}

func TestRotatedKeysDisappearAndSeenOnesAreKept(t *testing.T) {
	t.Parallel()
	st := start(t)
	clock := time.Now()
	keys := product.NewKeys(st.server.Issuer(), product.KeysConfig{Now: func() time.Time { return clock }})
	env := st.run(`{}`)
	st.claims(keys, env, "x")
	st.lab("POST", "/_lab/keys/rotate", "", nil)
	clock = clock.Add(2 * time.Minute)
	st.claims(keys, env, "x")
	set, err := keys.Set(t.Context())
	if err != nil || len(set.Keys) != 2 {
		t.Errorf("got %d keys, %v, want the old and the new one", len(set.Keys), err)
	}
	fresh, err := product.NewKeys(st.server.Issuer(), product.KeysConfig{}).Set(t.Context())
	if err != nil || len(fresh.Keys) != 1 {
		t.Errorf("got %d served keys, %v, want 1", len(fresh.Keys), err)
	}
}

func TestARunGetsARunnersEnvironment(t *testing.T) {
	t.Parallel()
	st := start(t)
	env := st.run(`{"event":"pull_request","ref":"refs/pull/7/merge","headRef":"fix","baseRef":"main"}`)
	for name, want := range map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/storefront", "GITHUB_REPOSITORY_OWNER": "acme",
		"GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_PROTECTED": "false",
		"GITHUB_HEAD_REF": "fix", "GITHUB_BASE_REF": "main", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_RUN_NUMBER": "1",
		"GITHUB_WORKFLOW_REF": "acme/storefront/.github/workflows/deploy.yml@refs/pull/7/merge",
		"GITHUB_API_URL":      st.url, "GITHUB_SERVER_URL": st.url, "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_ENVIRONMENT": "github-hosted",
	} {
		if env[name] != want {
			t.Errorf("%s: got %q, want %q", name, env[name], want)
		}
	}
	for _, name := range []string{
		"GITHUB_REPOSITORY_ID", "GITHUB_REPOSITORY_OWNER_ID", "GITHUB_SHA", "GITHUB_WORKFLOW", "GITHUB_WORKFLOW_SHA", "GITHUB_RUN_ID",
		"GITHUB_ACTOR", "GITHUB_ACTOR_ID", "GITHUB_TRIGGERING_ACTOR", "GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
	} {
		if env[name] == "" {
			t.Errorf("%s is empty", name)
		}
	}
}

func TestThePageShowsChecksAndRunsNothing(t *testing.T) {
	t.Parallel()
	st := start(t)
	st.run(`{"sha":"` + testSHA + `"}`)
	if _, err := st.app().UpsertCheckRun(t.Context(), completed()); err != nil {
		t.Fatal(err)
	}
	status, header, body := st.ask("GET", "/", "", "")
	if status != http.StatusOK || header.Get("X-Stand-In") == "" {
		t.Fatalf("got %d, %v", status, header)
	}
	for _, want := range []string{
		"stand-in for GitHub", testSHA[:10], "inhaul / production", "The image cannot be pulled", "✗", "<h4>What happened</h4>",
		"<b>web</b> could not start: <code>ErrImagePull</code>", "&lt;script&gt;alert(1)&lt;/script&gt;", "<pre>no such tag\n</pre>",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(body), "<script>alert") {
		t.Error("the page runs what a summary says")
	}
}
