// Package stage plays a team's day on a lab: it installs the agent, keeps a
// repository, and runs workflows with the real Action in the environment that a
// GitHub runner gives a step. The demo and the end-to-end stories use it.
package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/lifecycle"
)

// Stage is a lab with the programs of one checkout of Inhaul.
type Stage struct {
	Lab    *layout.Lab
	Source string // root of the checkout
	Self   string // path of the lab's program
	Out    io.Writer
	Now    func() time.Time

	Replicas int  // how many agents InstallAgent and StartAgent start; zero is one
	NoApp    bool // they have no GitHub App, and publish receipts instead
}

// Bin is where the programs under test are.
func (s *Stage) Bin(name string) string { return s.Lab.Path("stage", "bin", name) }

// Build compiles the Action and the agent.
func (s *Stage) Build(ctx context.Context) error {
	for _, name := range []string{"inhaul-action", "inhaul-agent"} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", s.Bin(name), "./cmd/"+name)
		build.Dir, build.Env = s.Source, append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, output)
		}
	}
	return nil
}

// Environ is the environment that the lab gives a program, over the machine's,
// but for what a workflow run on this machine has of its own.
func (s *Stage) Environ() []string {
	env := withoutRun(os.Environ())
	for _, pair := range lifecycle.Env(s.Lab) {
		if pair[1] != "" {
			env = append(env, pair[0]+"="+pair[1])
		}
	}
	path := s.Lab.Path("stage", "bin") + ":" + os.Getenv("PATH") //nolint:forbidigo // programs inherit the machine's
	if buildx := s.Lab.Programs.Buildx; buildx != "" {
		path = filepath.Dir(buildx) + ":" + path
	}
	return append(env, "PATH="+path, "SSL_CERT_FILE="+s.Lab.CABundle())
}

// withoutRun drops the variables that a runner sets: where the lab itself runs
// in a workflow, the run that it plays must not see that one's.
func withoutRun(env []string) []string {
	return slices.DeleteFunc(env, func(variable string) bool {
		return slices.ContainsFunc([]string{"GITHUB_", "ACTIONS_", "RUNNER_", "INPUT_"}, func(prefix string) bool {
			return strings.HasPrefix(variable, prefix)
		})
	})
}

// Kubectl runs kubectl against the lab's cluster and returns what it printed.
func (s *Stage) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	kubectl := s.Lab.Programs.Kubectl
	if kubectl == "" {
		kubectl = "kubectl"
	}
	command := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig", s.Lab.Kubeconfig}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(output), nil
}

// Release is what the stage reads of a Release resource.
type Release struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		App, Environment, Intent, Image, Reason string
		Number                                  int
	}
	Status struct {
		Phase, Message, SupersededBy string
		RestoredTo                   int
		Timeline                     []struct {
			Step string
			At   time.Time
		}
	}
}

// At is when the release reached a step; zero if it has not.
func (r Release) At(step string) time.Time {
	for _, m := range r.Status.Timeline {
		if m.Step == step {
			return m.At
		}
	}
	return time.Time{}
}

// Releases are all releases of the cluster.
func (s *Stage) Releases(ctx context.Context) ([]Release, error) {
	output, err := s.Kubectl(ctx, "", "get", "releases.inhaul.dev", "-A", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []Release }
	if err := json.Unmarshal([]byte(output), &list); err != nil {
		return nil, fmt.Errorf("reading releases: %w", err)
	}
	return list.Items, nil
}

// ReleaseOf waits until the release of an intent satisfies done.
func (s *Stage) ReleaseOf(ctx context.Context, intent string, done func(Release) bool) (Release, error) {
	var last Release
	for {
		releases, err := s.Releases(ctx)
		if err != nil && ctx.Err() == nil {
			return last, err
		}
		for _, r := range releases {
			if r.Spec.Intent == intent {
				if last = r; done(r) {
					return r, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("waiting for the release of intent %s, last seen as %q %q: %w", intent, last.Status.Phase, last.Status.Message, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// CheckRun is what the stage reads of a check run.
type CheckRun struct {
	Name       string `json:"name"`
	HeadSHA    string `json:"head_sha"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
	ExternalID string `json:"external_id"`
	HTMLURL    string `json:"html_url"`
	App        struct {
		Slug string `json:"slug"`
	} `json:"app"`
	Output struct {
		Title   string `json:"title"`
		Summary string `json:"summary"`
		Text    string `json:"text"`
	} `json:"output"`
}

// CheckRuns are the check runs of a commit, as GitHub's API shows them.
func (s *Stage) CheckRuns(ctx context.Context, repository, commit string) ([]CheckRun, error) {
	run, err := s.register(ctx, Workflow{Repository: repository, Event: "workflow_dispatch"}, commit)
	if err != nil {
		return nil, err
	}
	var list struct {
		CheckRuns []CheckRun `json:"check_runs"`
	}
	err = s.github(ctx, http.MethodGet, "/repos/"+repository+"/commits/"+commit+"/check-runs?filter=all", run.Env["GITHUB_TOKEN"], nil, &list)
	return list.CheckRuns, err
}

// Violations are the calls that broke GitHub's API description.
func (s *Stage) Violations(ctx context.Context) (json.RawMessage, error) {
	var raw json.RawMessage
	err := s.github(ctx, http.MethodGet, "/_lab/violations", "", nil, &raw)
	return raw, err
}

// Pushed is how many manifests the registry was sent for a repository, ever.
func (s *Stage) Pushed(ctx context.Context, repository string) (int, error) {
	counts, err := lifecycle.Requests(ctx, s.Lab, repository)
	return counts["PUT manifests"], err
}

func (s *Stage) github(ctx context.Context, method, path, token string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Lab.GitHub()+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking the GitHub stand-in: %w", err)
	}
	defer response.Body.Close()
	data, err = io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("asking the GitHub stand-in: %s %s: %s: %s", method, path, response.Status, data)
	}
	return json.Unmarshal(data, answer)
}
