package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// The commits of the stories, oldest first.
const (
	commitBefore = "4be1f0a2c7d94e0d8a3b5f6c1d2e3f4a5b6c7d8e"
	commitNow    = "9f2c1ab0d4e84c7f9b1a2c3d4e5f60718293a4b5"
	commitNewer  = "abc12345e6f7489a8b7c6d5e4f3a2b1c0d9e8f70"
)

// told is release 42 of three services, noticed at noon; change makes it a story.
func told(phase Phase, change func(*Release)) Release {
	r := Release{
		Line: Line{App: "storefront", Environment: "production"}, Namespace: "storefront-production", Number: 42,
		Intent: "sha256:" + strings.Repeat("ab", 32), Kind: intent.Deploy, Reason: ReasonNewest, Rule: "main to production",
		Image:  testImages + "@sha256:" + strings.Repeat("cd", 32),
		Source: push(3, 0, 0).statement().Predicate.Source,
		App: spec.App{Name: "storefront", Services: []spec.Service{
			{Name: "mailer", Type: spec.Worker, Replicas: 1, CPU: "100m", Memory: "256Mi"},
			{Name: "web", Type: spec.Web, Port: 8080, Replicas: 2, CPU: "250m", Memory: "512Mi"},
			{Name: "worker", Type: spec.Worker, Replicas: 1, CPU: "100m", Memory: "256Mi"},
		}},
		Config: &intent.Config{Path: "inhaul.yaml", Lines: map[string]int{
			"services": 6, "services.web": 7, "services.web.port": 9, "services.web.run": 10, "services.web.health": 12,
			"services.web.size": 11, "secrets": 3, "secrets.DATABASE_URL": 4, "predeploy": 2,
		}},
	}
	r.Source.Commit, r.Source.Actor = commitNow, "octocat"
	r.Evidence.Scheme = "github-oidc"
	r.Status.Phase = phase
	r.Status.Reach(StepNoticed, noon())
	r.Status.Reach(StepVerified, after(31*time.Millisecond))
	r.Status.Reach(StepAdmitted, after(54*time.Millisecond))
	if change != nil {
		change(&r)
	}
	return r
}

// served is release 41, which served before and has another image and settings.
func served() Release {
	r := told(Succeeded, nil)
	r.Number, r.Source.Commit = 41, commitBefore
	r.Image = testImages + "@sha256:" + strings.Repeat("12", 32)
	r.App.Services = []spec.Service{
		{Name: "mailer", Type: spec.Worker, Replicas: 1, CPU: "100m", Memory: "256Mi"},
		{Name: "web", Type: spec.Web, Port: 3000, Replicas: 1, CPU: "250m", Memory: "512Mi", Env: map[string]string{"LOG_LEVEL": "info"}},
	}
	return r
}

// seen is what is known beside release r, after those before it.
func seen(r Release, before ...Release) view {
	return view{
		Environment: Environment{Name: r.Line.Environment, URL: "https://storefront.example", Production: true},
		Releases:    append(before, r), Now: after(time.Hour),
	}
}

func running(mailer, web, worker int) []ServiceStatus {
	return []ServiceStatus{{Name: "mailer", Desired: 1, Ready: mailer}, {Name: "web", Desired: 2, Ready: web}, {Name: "worker", Desired: 1, Ready: worker}}
}

func applied(r *Release) { r.Status.Reach(StepApplied, after(210*time.Millisecond)) }

func live(r *Release) {
	applied(r)
	r.Status.Reach(StepReady, after(13800*time.Millisecond))
	r.Status.Reach(StepVerdict, after(14*time.Second))
	r.Status.Message, r.Status.Services = "Live in 14s", running(1, 2, 1)
}

// red is a release that failed because its web service crashes.
func red(r *Release) {
	applied(r)
	r.Status.Reach(StepVerdict, after(9*time.Second))
	r.Status.Cause = &Cause{
		Kind: CauseCrash, Service: "web", Pod: "storefront-web-7d4b9-x2x5k", Container: "web", ExitCode: 3,
		Message: "web: the container ended 2 times, last with exit code 3", Next: "read the log below; run the image locally with the same env",
		Log:    "listening on :8080\ncannot reach the database\n",
		Events: []string{"Warning BackOff: Back-off restarting failed container"},
	}
	r.Status.Message = "Failed: " + r.Status.Cause.Message
	r.Status.Services = running(1, 0, 1)
	r.Status.Services[1].Restarts = 1
}

func restored(r *Release) {
	r.Status.RestoredTo = 41
	r.Status.Reach(StepRestored, r.Status.At(StepVerdict).Add(6*time.Second))
}

// failing is a release that failed by a cause which a recorded cluster has shown.
func failing(t *testing.T, story string) func(*Release) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("cluster", "testdata", "evidence", story, "want.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var seen struct {
		Cause *struct {
			Kind      string   `yaml:"Kind"`
			Service   string   `yaml:"Service"`
			Setting   string   `yaml:"Setting"`
			Pod       string   `yaml:"Pod"`
			Container string   `yaml:"Container"`
			ExitCode  int      `yaml:"ExitCode"`
			Message   string   `yaml:"Message"`
			Next      string   `yaml:"Next"`
			Log       string   `yaml:"Log"`
			Events    []string `yaml:"Events"`
		} `yaml:"cause"`
	}
	if err := yaml.Unmarshal(data, &seen); err != nil || seen.Cause == nil {
		t.Fatalf("%s: no cause: %v", story, err)
	}
	c := seen.Cause
	return func(r *Release) {
		red(r)
		restored(r)
		r.Status.Cause = &Cause{
			Kind: CauseKind(c.Kind), Service: c.Service, Setting: c.Setting, Pod: c.Pod, Container: c.Container, ExitCode: c.ExitCode,
			Message: c.Message, Next: c.Next, Log: c.Log, Events: c.Events,
		}
		r.Status.Message = "Failed: " + c.Message
	}
}

// refusedBy makes a release one that the cluster refused before anything changed.
func refusedAs(by *Rejected) func(*Release) {
	return func(r *Release) {
		r.Status.Cause = r.refused(by)
		r.Status.Reach(StepVerdict, after(80*time.Millisecond))
		r.Status.RestoredTo, r.Status.Message = 41, "Failed: "+r.Status.Cause.Message
		r.Status.Reach(StepRestored, after(300*time.Millisecond))
	}
}

// predeploying is a release with a predeploy command, which began.
func predeploying(r *Release) {
	r.App.Predeploy = &spec.Task{Run: spec.Command{Shell: "bin/migrate"}, CPU: "100m", Memory: "256Mi"}
	r.Status.Reach(StepPredeploying, after(90*time.Millisecond))
}

// redPredeploy is a release that failed because its predeploy does.
func redPredeploy(r *Release) {
	predeploying(r)
	r.Status.Reach(StepVerdict, after(9*time.Second))
	cause := *JudgeTask(TaskPredeploy, spec.Task{}, exited(1), Sightings{}, after(time.Second)).Cause
	cause.Log = "== 20261122 AddOrders: migrating\nPG::UndefinedTable: relation \"orders\" does not exist\n"
	r.Status.Cause, r.Status.Message = &cause, "Failed: "+cause.Message
}

// back makes a release one that brings back release 40.
func back(r *Release) {
	applied(r)
	r.Kind, r.Reason, r.Restore, r.Commit = intent.Rollback, ReasonRollback, 40, strings.Repeat("1", 40)
	r.Note = "release 40 (1111111), which was live before"
	r.Status.Reach(StepReady, after(1100*time.Millisecond))
	r.Status.Reach(StepVerdict, after(1200*time.Millisecond))
	r.Status.Message, r.Status.Services = "Live in 1.2s", running(1, 2, 1)
}

// byHand makes a release one that was asked for in the cluster.
func byHand(r *Release) {
	back(r)
	r.Source.RunID, r.Source.RunAttempt, r.Source.WorkflowRef, r.Source.Event = 0, 0, "", requestEvent
	r.Evidence.Scheme, r.Rule, r.Source.Actor = requestScheme, requestRule, "user/jane@example.com"
	r.Note += `; because "checkout is broken"`
}

// preview makes a release one of a pull request.
func preview(r *Release) {
	r.Line.Environment, r.Namespace, r.Number = "pr-12", "storefront-pr-12", 1
	r.Source.PullRequest, r.Source.Event, r.Rule = 12, "pull_request", "previews"
}

// denied is a refusal by the App's rules.
func denied() Refusal {
	return Refusal{
		Line: Line{App: "storefront", Environment: "production"}, Intent: "sha256:" + strings.Repeat("ef", 32),
		Rule: "policy: ref", Message: `denied by policy: rule "main to production": ref is "refs/heads/feature", want "refs/heads/main"`,
		At: after(time.Second), Repository: "acme/storefront", Commit: commitNow, RunID: 1003,
	}
}

// overtaken is a refusal by order.
func overtaken() Refusal {
	r := denied()
	r.Superseded, r.SupersededBy, r.Rule = true, commitNewer, "order: run number"
	r.Message = "run number 2 of the workflow, and number 3 is admitted already"
	return r
}

// ending is a preview that was taken away.
func ending() end {
	r := told(Pending, preview)
	return end{
		preview: Preview{Line: r.Line, Namespace: r.Namespace, Repository: r.Source.Repository},
		destroy: Destroy{Intent: r.Intent, Source: r.Source, Rule: r.Rule, Evidence: r.Evidence, At: noon(), DoneAt: after(12 * time.Second)},
	}
}
