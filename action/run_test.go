package action_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// program stands for the released binary; it says what it was given, and is
// larger than the page of a redirect.
var program = "#!/bin/sh\necho \"ran $INPUT_APP $*\"\nexit 7\n" + strings.Repeat("# as long as a program\n", 200)

// runner is a machine that runs the step of action.yml: the checkout of the
// Action, the runner's folders, and a path with exactly these programs.
type runner struct {
	t                     *testing.T
	checkout, cache, path string
	requests              atomic.Int32
	server                *httptest.Server
	answer                http.HandlerFunc
	environment           []string
}

// newRunner has a release whose assets answer serves; nil serves the program.
func newRunner(t *testing.T, answer http.HandlerFunc) *runner {
	t.Helper()
	r := &runner{t: t, checkout: t.TempDir(), cache: t.TempDir(), path: t.TempDir(), answer: answer}
	if answer == nil {
		r.answer = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, program) }
	}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.requests.Add(1)
		r.answer(w, request)
	}))
	t.Cleanup(r.server.Close)
	for _, name := range []string{"bash", "sh", "curl", "sha256sum", "uname", "stat", "mktemp", "mkdir", "chmod", "mv", "rm", "head", "tr"} {
		at, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("SKIP: there is no %s here: apt-get install curl coreutils", name)
		}
		if err := os.Symlink(at, filepath.Join(r.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.install("sleep", `echo "slept $1"`)
	script, err := os.ReadFile("run.sh")
	if err != nil {
		t.Fatal(err)
	}
	r.write("action/run.sh", string(script))
	r.manifest(program)
	return r
}

func (r *runner) write(name, content string) {
	r.t.Helper()
	file := filepath.Join(r.checkout, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// install puts a program of our own on the path.
func (r *runner) install(name, script string) {
	r.t.Helper()
	file := filepath.Join(r.path, name)
	if err := os.RemoveAll(file); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// manifest makes the checkout that of a release of these bytes.
func (r *runner) manifest(content string) {
	r.t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	r.write("action/program.txt", fmt.Sprintf(`# a comment
version v1.2.3
go go1.26.8
source 0123456789012345678901234567890123456789
url %[1]s/releases/v1.2.3
linux/amd64 %[2]s %[3]d inhaul-action_linux_amd64
linux/arm64 %[2]s %[3]d inhaul-action_linux_arm64
`, r.server.URL, sum, len(content)))
}

// run runs the step and returns its exit code and log.
func (r *runner) run(args ...string) (int, string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(r.path, "bash"), append([]string{filepath.Join(r.checkout, "action", "run.sh")}, args...)...)
	command.Dir, command.WaitDelay = r.t.TempDir(), time.Second // a curl that is left holds the log open
	command.Env = append([]string{"PATH=" + r.path, "INPUT_APP=web", "RUNNER_TOOL_CACHE=" + r.cache, "RUNNER_TEMP=" + command.Dir, "INHAUL_DOWNLOAD_TIMEOUT=10"}, r.environment...)
	log, err := command.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%v\n%s", err, log)
	}
	return command.ProcessState.ExitCode(), string(log)
}

// refuses runs the step, which must not run anything, and say all of what.
func (r *runner) refuses(code int, what ...string) {
	r.t.Helper()
	got, log := r.run()
	if got != code {
		r.t.Errorf("got exit code %d, want %d\n%s", got, code, log)
	}
	if strings.Contains(log, "ran web") {
		r.t.Errorf("the program ran:\n%s", log)
	}
	for _, text := range append(what, "::error title=inhaul::", "Next: ") {
		if !strings.Contains(log, text) {
			r.t.Errorf("got the log\n%s\nwant it to say %q", log, text)
		}
	}
	left, err := filepath.Glob(filepath.Join(r.cache, "inhaul-action", "*", "*"))
	if err != nil || len(left) != 0 {
		r.t.Errorf("got %v left in the tool cache, %v", left, err)
	}
}

// ran runs the step, which must run the program.
func (r *runner) ran(args ...string) string {
	r.t.Helper()
	code, log := r.run(args...)
	if want := strings.TrimSpace("ran web " + strings.Join(args, " ")); code != 7 || !strings.Contains(log, want) {
		r.t.Fatalf("got exit code %d and the log\n%s\nwant 7 and %q", code, log, want)
	}
	return log
}

func TestTheStepRunsTheProgramOfItsCommitAndKeepsIt(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	r := newRunner(t, func(w http.ResponseWriter, request *http.Request) {
		asked.Store(request.URL.Path)
		fmt.Fprint(w, program)
	})
	r.ran("--version")
	if want := "/releases/v1.2.3/inhaul-action_linux_" + runtime.GOARCH; asked.Load() != want {
		t.Errorf("got a download of %v, want %s", asked.Load(), want)
	}
	r.server.Close() // no network is needed again
	if log := r.ran(); strings.Contains(log, "download") {
		t.Errorf("the program was there already, and the log says\n%s", log)
	}
	if got := r.requests.Load(); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
}

func TestTheStepVerifiesWithOpenSSLWhereThereIsOne(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIP: there is no openssl here: apt-get install openssl")
	}
	r := newRunner(t, nil)
	if err := errors.Join(os.Symlink(openssl, filepath.Join(r.path, "openssl")), os.Remove(filepath.Join(r.path, "sha256sum"))); err != nil {
		t.Fatal(err)
	}
	r.ran()
	r.ran()
	if got := r.requests.Load(); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
	r.manifest(program + "# another")
	if code, log := r.run(); code != 2 || strings.Contains(log, "ran web") {
		t.Errorf("got exit code %d and the log\n%s", code, log)
	}
}

func TestTheStepMendsAKeptProgramThatWasChanged(t *testing.T) {
	t.Parallel()
	r := newRunner(t, nil)
	r.ran()
	kept, err := filepath.Glob(filepath.Join(r.cache, "inhaul-action", "1.2.3", "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("got %v in the tool cache, %v", kept, err)
	}
	if err := os.WriteFile(kept[0], []byte("#!/bin/sh\necho evil"), 0o755); err != nil {
		t.Fatal(err)
	}
	if log := r.ran(); strings.Contains(log, "evil") {
		t.Errorf("a changed program ran:\n%s", log)
	}
}

func TestTheStepFollowsARedirectAndAsksAMirrorInstead(t *testing.T) {
	t.Parallel()
	mirror := newRunner(t, func(w http.ResponseWriter, request *http.Request) {
		if name, moved := strings.CutPrefix(request.URL.Path, "/mirror/v1.2.3/"); moved {
			http.Redirect(w, request, "/blobs/"+name, http.StatusFound)
			return
		}
		fmt.Fprint(w, program)
	})
	r := newRunner(t, nil)
	r.environment = []string{"INHAUL_RELEASES_URL=" + mirror.server.URL + "/mirror/"}
	r.ran()
	if r.requests.Load() != 0 || mirror.requests.Load() != 2 {
		t.Errorf("got %d requests to the release and %d to the mirror, want 0 and 2", r.requests.Load(), mirror.requests.Load())
	}
}

func TestTheStepTriesAgainWhatPasses(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]http.HandlerFunc{
		"the server is busy":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"too many requests":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"a broken connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a truncated body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(program)))
			fmt.Fprint(w, program[:20])
		},
		"a body that ends early by its own word": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, program[:20]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int32
			r := newRunner(t, func(w http.ResponseWriter, request *http.Request) {
				if tries.Add(1) <= 2 {
					bad(w, request)
					return
				}
				fmt.Fprint(w, program)
			})
			log := r.ran()
			for _, want := range []string{"trying again in 1 s", "slept 1", "slept 2"} {
				if !strings.Contains(log, want) {
					t.Errorf("got the log\n%s\nwant it to say %q", log, want)
				}
			}
			if got := r.requests.Load(); got != 3 {
				t.Errorf("got %d requests, want 3", got)
			}
		})
	}
}

func TestTheStepRunsNothingThatItsCommitDoesNotName(t *testing.T) {
	t.Parallel()
	endless := func(w http.ResponseWriter, request *http.Request) {
		for request.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name     string
		answer   http.HandlerFunc
		want     []string
		requests int32
	}{
		{"other bytes of the same size", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Replace(program, "ran", "rob", 1))
		}, []string{"is not the program that this commit of the Action names", "sha256: got ", "security/policy"}, 1},
		{"a file that is not there", http.NotFound, []string{"answered 404", "INHAUL_RELEASES_URL"}, 1},
		{"a file that is too large, and says so", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000000")
		}, []string{"more than the " + fmt.Sprint(len(program)) + " bytes"}, 1},
		{"a file without an end", endless, []string{"more than the " + fmt.Sprint(len(program)) + " bytes"}, 1},
		{"a server that fails for long", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
		}, []string{"in 4 tries", "githubstatus.com", "502"}, 4},
		{"a server that never answers", func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }, []string{"in 4 tries", "timed out"}, 4},
		{"a redirect without an end", func(w http.ResponseWriter, request *http.Request) {
			http.Redirect(w, request, request.URL.Path, http.StatusFound)
		}, []string{"in 4 tries", "redirects"}, 24},
		{"a redirect to a file of the runner", func(w http.ResponseWriter, request *http.Request) {
			http.Redirect(w, request, "file:///etc/passwd", http.StatusFound)
		}, []string{"in 4 tries"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, c.answer)
			if c.name == "a server that never answers" {
				r.environment = []string{"INHAUL_DOWNLOAD_TIMEOUT=1"}
			}
			r.refuses(2, c.want...)
			if got := r.requests.Load(); got != c.requests {
				t.Errorf("got %d requests, want %d", got, c.requests)
			}
		})
	}
}

func TestTheStepSaysWhatTheRunnerLacks(t *testing.T) {
	t.Parallel()
	t.Run("a processor of ours", func(t *testing.T) {
		t.Parallel()
		r := newRunner(t, nil)
		r.install("uname", "echo Linux riscv64")
		r.refuses(1, "no program for riscv64", "ubuntu-24.04-arm")
	})
	for system, want := range map[string]string{"Darwin arm64": "this runner is a Mac", "MINGW64_NT-10.0-20348 x86_64": "this runner is MINGW64_NT-10.0-20348"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, nil)
			r.install("uname", "echo "+system)
			r.refuses(1, want, "runs-on: ubuntu-latest")
		})
	}
	for program, want := range map[string]string{"curl": "no curl", "sha256sum": "no sha256sum"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, nil)
			if err := os.Remove(filepath.Join(r.path, program)); err != nil {
				t.Fatal(err)
			}
			r.refuses(1, want)
		})
	}
	t.Run("folders", func(t *testing.T) {
		t.Parallel()
		r := newRunner(t, nil)
		r.environment = []string{"RUNNER_TOOL_CACHE=/dev/null", "RUNNER_TEMP="}
		r.refuses(1, "RUNNER_TOOL_CACHE (/dev/null)", "RUNNER_TEMP (not set)")
	})
}

func TestTheStepKeepsTheProgramInTheJobsFolderWithoutAToolCache(t *testing.T) {
	t.Parallel()
	r := newRunner(t, nil)
	r.environment = []string{"RUNNER_TOOL_CACHE=/dev/null"}
	r.ran()
}

func TestTheStepBuildsWhatIsOfNoRelease(t *testing.T) {
	t.Parallel()
	r := newRunner(t, nil)
	if err := os.Remove(filepath.Join(r.checkout, "action", "program.txt")); err != nil {
		t.Fatal(err)
	}
	r.refuses(1, "is of no release", "inhaul/inhaul@v1", "actions/setup-go")

	r.write("go.mod", "module example.com/x\n")
	r.refuses(1, "this runner has no Go")

	// go build -C DIR -o FILE PACKAGE
	r.install("go", `[ "$1 $6" = "build ./cmd/inhaul-action" ] && echo "built in $3" && printf '#!/bin/sh\necho "ran $INPUT_APP $*"; exit 7' >"$5" && chmod 755 "$5"`)
	if log := r.ran("--help"); !strings.Contains(log, "built in "+r.checkout) {
		t.Errorf("got the log\n%s\nwant it to build the checkout", log)
	}
	if got := r.requests.Load(); got != 0 {
		t.Errorf("got %d downloads, want none", got)
	}
}

// A job's errors are one line each, whatever a server says.
func TestTheStepsErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	r := newRunner(t, nil)
	r.environment = []string{"INHAUL_RELEASES_URL=http://127.0.0.1:1/%25\n::warning::forged"}
	code, log := r.run()
	if code != 2 || strings.Contains(log, "\n::warning::forged\n") {
		t.Errorf("got exit code %d and the log\n%s", code, log)
	}
}
