package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

const (
	exampleWorkflow = ".github/workflows/deploy.yml"
	exampleRollback = ".github/workflows/rollback.yml"
)

// example is what we ship for a team to copy: the App of the platform owner, and
// the workflow and the inhaul.yaml of the team.
type example struct {
	app      agent.App
	file     *spec.File
	workflow struct {
		On struct {
			Push struct{ Branches []string }
		} `json:"true"` // what YAML 1.1 makes of "on"
		Permissions map[string]string
		Jobs        map[string]exampleJob
	}
}

// exampleJob is what matters of a job.
type exampleJob struct {
	Environment string
	Permissions map[string]string
	Steps       []exampleStep
}

type exampleStep struct {
	Uses string
	With map[string]string
}

// grants wants the permissions of a job, and none of the whole workflow.
func grants(t *testing.T, workflow map[string]string, job exampleJob, want map[string]string) {
	t.Helper()
	if workflow == nil || len(workflow) > 0 {
		t.Errorf("permissions of the workflow: got %v, want it to say that it has none", workflow)
	}
	if diff := cmp.Diff(want, job.Permissions); diff != "" {
		t.Errorf("permissions of the job: got +, want -\n%s", diff)
	}
}

func readExample(t *testing.T) example {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(path.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var x example
	var app v1alpha1.App
	if err := yaml.UnmarshalStrict(read("deploy/example-app.yaml"), &app); err != nil {
		t.Fatal(err)
	}
	x.app = agent.App{Name: app.Name, Intents: app.Spec.Intents, Images: app.Spec.Images}
	for _, e := range app.Spec.Environments {
		x.app.Environments = append(x.app.Environments, agent.Environment{Name: e.Name, Namespace: e.Namespace, Production: e.Production, URL: e.URL, Domains: e.Domains, Routing: agent.Routing(e.Routing)})
	}
	for _, r := range app.Spec.Rules {
		x.app.Rules = append(x.app.Rules, agent.Rule(r))
	}
	for _, s := range app.Spec.Signers {
		x.app.Signers = append(x.app.Signers, agent.Signer(s))
	}
	if err := yaml.Unmarshal(read("examples/storefront/"+exampleWorkflow), &x.workflow); err != nil {
		t.Fatal(err)
	}
	var err error
	if x.file, err = spec.Parse("inhaul.yaml", read("examples/storefront/inhaul.yaml")); err != nil {
		t.Fatal(err)
	}
	return x
}

// push is the intent of the example's workflow for a push, verified: signed by a
// token as GitHub would issue it.
func (x example) push(t *testing.T, branch string, protected bool) intent.Verified {
	t.Helper()
	if len(x.workflow.Jobs) != 1 || len(x.app.Signers) != 1 {
		t.Fatalf("got %d jobs and %d signers, want one each", len(x.workflow.Jobs), len(x.app.Signers))
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	source := x.source(exampleWorkflow, branch, "push", now)
	for _, job := range x.workflow.Jobs {
		source.GitHubEnvironment = job.Environment
	}
	environment, ok := x.file.Environment(source.Ref)
	if !ok {
		t.Fatalf("%s deploys nowhere", source.Ref)
	}
	app, err := x.file.Resolve(environment)
	if err != nil {
		t.Fatal(err)
	}
	return x.verified(t, protected, x.app.Images[0]+"@sha256:"+strings.Repeat("ab", 32), intent.Predicate{
		Kind: intent.Deploy, App: app.Name, Environment: environment, Source: source, Spec: &app, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
}

// source is a run of a workflow of the example on a branch.
func (x example) source(workflow, branch, event string, at time.Time) intent.Source {
	rule := x.app.Rules[0]
	return intent.Source{
		Repository: "acme/storefront", RepositoryID: rule.RepositoryID, RepositoryOwnerID: rule.RepositoryOwnerID,
		Ref: "refs/heads/" + branch, Commit: strings.Repeat("c0ffee00", 5), Event: event, EventAt: at,
		WorkflowRef: "acme/storefront/" + workflow + "@refs/heads/" + branch,
		RunID:       1001, RunNumber: 1, RunAttempt: 1, Actor: "octocat",
	}
}

// verified is an intent signed by a token as GitHub would issue it.
func (x example) verified(t *testing.T, protected bool, image string, p intent.Predicate) intent.Verified {
	t.Helper()
	statement, source, now := intent.New(image, p), p.Source, p.IssuedAt
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer := intent.NewGitHubSigner(func(_ context.Context, audience string) (string, error) {
		return idToken(key, x.app.Signers[0].Issuer, audience, source, protected, now)
	})
	envelope, _, err := intent.Sign(t.Context(), statement, signer)
	if err != nil {
		t.Fatal(err)
	}
	known := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: string(jose.RS256), Use: "sig"}}}
	v, err := intent.Verify(envelope, intent.Trust{Issuers: []intent.Issuer{{URL: "https://token.actions.githubusercontent.com", Keys: known}}}, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func idToken(key *rsa.PrivateKey, issuer, audience string, s intent.Source, protected bool, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "k"))
	if err != nil {
		return "", err
	}
	claims := map[string]any{
		"iss": issuer, "aud": audience, "jti": "1", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"repository": s.Repository, "repository_id": fmt.Sprint(s.RepositoryID), "repository_owner_id": fmt.Sprint(s.RepositoryOwnerID),
		"ref": s.Ref, "ref_protected": fmt.Sprint(protected), "sha": s.Commit, "workflow_ref": s.WorkflowRef, "job_workflow_ref": s.WorkflowRef,
		"event_name": s.Event, "run_id": fmt.Sprint(s.RunID), "run_number": fmt.Sprint(s.RunNumber), "run_attempt": fmt.Sprint(s.RunAttempt),
		"actor": s.Actor, "runner_environment": "github-hosted",
	}
	if s.GitHubEnvironment != "" {
		claims["environment"] = s.GitHubEnvironment
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func TestTheExamplesGoTogether(t *testing.T) {
	t.Parallel()
	x := readExample(t)
	policy, err := agent.CompilePolicy(x.app)
	if err != nil {
		t.Fatal(err)
	}
	if want := x.app.Images[0] + "-intents"; x.app.Intents != want { // the Action's default
		t.Errorf("intents: got %s, want %s", x.app.Intents, want)
	}
	grants(t, x.workflow.Permissions, x.workflow.Jobs["deploy"], map[string]string{"contents": "read", "checks": "write", "id-token": "write"})
	if got := x.workflow.On.Push.Branches; !slices.Contains(got, "main") {
		t.Errorf("the workflow runs on a push to %q, want main among it", got)
	}
	for _, branch := range x.workflow.On.Push.Branches {
		if _, err := policy.Judge(x.push(t, branch, branch == "main")); err != nil {
			t.Errorf("a push to %s, main being protected: %v", branch, err)
		}
	}
	_, err = policy.Judge(x.push(t, "main", false))
	if denied, ok := errors.AsType[*agent.Denied](err); !ok || denied.Field != "ref" {
		t.Errorf("a push to main without protection: got %v, want it denied for its ref, as the README says", err)
	}
}

// TestTheExampleRollsBack reads the workflow that is started by hand, and has its
// intents judged by the example's policy.
func TestTheExampleRollsBack(t *testing.T) {
	t.Parallel()
	x := readExample(t)
	policy, err := agent.CompilePolicy(x.app)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../examples/storefront/" + exampleRollback)
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		On struct {
			Dispatch struct {
				Inputs map[string]struct {
					Default string
					Options []string
				}
			} `json:"workflow_dispatch"`
		} `json:"true"`
		Permissions map[string]string
		Jobs        map[string]exampleJob
	}
	if err := yaml.Unmarshal(data, &workflow); err != nil {
		t.Fatal(err)
	}
	steps := workflow.Jobs["rollback"].Steps
	last := steps[len(steps)-1]
	if last.Uses != "inhaul/inhaul@v1" || slices.ContainsFunc(steps, func(s exampleStep) bool { return strings.HasPrefix(s.Uses, "actions/checkout") }) {
		t.Fatalf("got steps %+v, want the Action after a login: nothing is checked out", steps)
	}
	with, inputs := last.With, workflow.On.Dispatch.Inputs
	if with["rollback-to"] != "${{ inputs.to }}" || with["environment"] != "${{ inputs.environment }}" || with["app"] != x.app.Name || with["image-repository"] == "" {
		t.Errorf("got %v, want the target and the environment from the inputs, the app, and where its intents belong", with)
	}
	grants(t, workflow.Permissions, workflow.Jobs["rollback"], map[string]string{"checks": "write", "id-token": "write"})
	now := time.Now().UTC().Truncate(time.Millisecond)
	judge := func(environment, target, workflow string) error {
		p := intent.Predicate{App: x.app.Name, Environment: environment, Source: x.source(workflow, "main", "workflow_dispatch", now), IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
		if err := p.RollBackTo(target); err != nil {
			t.Fatal(err)
		}
		_, err := policy.Judge(x.verified(t, true, "", p))
		return err
	}
	for _, environment := range inputs["environment"].Options {
		for _, target := range []string{inputs["to"].Default, "7", "c0ffee0"} {
			if err := judge(environment, target, exampleRollback); err != nil {
				t.Errorf("%s to %s: %v", environment, target, err)
			}
		}
	}
	if denied, ok := errors.AsType[*agent.Denied](judge("production", "previous", exampleWorkflow)); !ok {
		t.Errorf("a rollback by %s: got %v, want it denied", exampleWorkflow, denied)
	}
}
