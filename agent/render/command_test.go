package render

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/spec"
)

func TestShellLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ line, want string }{
		"one simple command":                     {"bundle exec puma", "exec bundle exec puma"},
		"space around it":                        {"  node server.js\n", "exec node server.js"},
		"a leading assignment":                   {"RUBYOPT=--jit bundle exec puma", "RUBYOPT=--jit; export RUBYOPT; exec bundle exec puma"},
		"assignments that expand":                {`A=$HOME/x B="c d" cmd`, `A=$HOME/x B="c d"; export A B; exec cmd`},
		"an assignment its own words mention":    {"A=b cmd $A", "A=b cmd $A"},
		"an assignment a longer name mentions":   {"A=b cmd $AB", "A=b; export A; exec cmd $AB"},
		"an assignment later on is an argument":  {"env A=b cmd", "exec env A=b cmd"},
		"assignments alone":                      {"A=b", "A=b"},
		"a default in an expansion":              {"puma -p ${PORT:-3000}", "exec puma -p ${PORT:-3000}"},
		"a command substitution":                 {"cmd $(cat a; cat b | tail)", "exec cmd $(cat a; cat b | tail)"},
		"old command substitution":               {"cmd `cat a; cat b`", "exec cmd `cat a; cat b`"},
		"operators in quotes":                    {`nginx -g 'daemon off;' "a && b"`, `exec nginx -g 'daemon off;' "a && b"`},
		"an escaped operator":                    {`echo a\;b`, `exec echo a\;b`},
		"redirections":                           {"cmd >out 2>&1 <in", "exec cmd >out 2>&1 <in"},
		"a comment":                              {"cmd # and; more", "exec cmd # and; more"},
		"two commands":                           {"a && b", "a && b"},
		"a list":                                 {"a; b", "a; b"},
		"a pipe":                                 {"a | b", "a | b"},
		"the background":                         {"a &", "a &"},
		"two lines":                              {"a\nb", "a\nb"},
		"a subshell":                             {"(a)", "(a)"},
		"a reserved word":                        {"while true; do a; done", "while true; do a; done"},
		"a builtin":                              {"cd /app", "cd /app"},
		"exec already":                           {"exec a", "exec a"},
		"a here-document":                        {"cat <<E", "cat <<E"},
		"a quote that does not end":              {"a 'b", "a 'b"},
		"an expansion that does not end":         {"a $(b", "a $(b"},
		"nothing but a comment":                  {"# nothing", "# nothing"},
		"a process substitution in a substition": {`a "$(b "$(c)")"`, `exec a "$(b "$(c)")"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := shellLine(test.line); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestShellLineInAShell proves with the real shell that a line means what it
// meant before.
func TestShellLineInAShell(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`printf '%s|' a "b c" $X`,
		`A=$X printenv A`,
		`A="$X" B='q;r' printenv B`,
		`A=b printf '%s|' $A $X`,
		`printf '%s|' $(printf 'a b'; echo c)`,
		"printf '%s|' `echo a b`",
		`printf '%s|' ${UNSET:-a b} $((1 + 2))`,
		`sh -c 'exit 7'`,
		`printf a; printf b`,
		`true && printf '%s' "$X"`,
		`printf '%s' a 2>&1`,
		`printf '%s|' a\;b "c\"d" # comment`,
	} {
		want, wantCode := shell(t, line)
		got, code := shell(t, expand(command(spec.Command{Shell: line}, false)[2], map[string]string{"X": "wrong"}))
		if diff := cmp.Diff(want, got); diff != "" || code != wantCode {
			t.Errorf("%s: exit code %d, want %d; output (-want +got):\n%s", line, code, wantCode, diff)
		}
	}
}

func shell(t *testing.T, line string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Env = append(os.Environ(), "X=one  two", "A=old")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // the exit code is what is compared
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestCommandGetsTheSignal proves that the command is the shell's own process,
// so that the kubelet's SIGTERM reaches it.
func TestCommandGetsTheSignal(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"sleep 60",
		"A=b sleep 60",
		"A=$HOME B='c d' sleep ${SECONDS_TO_SLEEP:-60}",
		"sleep 60 >/dev/null 2>&1",
		"sleep $(echo 60)",
		"true && exec sleep 60",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			args := command(spec.Command{Shell: line}, false)
			cmd := exec.CommandContext(t.Context(), args[0], args[1], expand(args[2], nil))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitProgram(t, cmd.Process.Pid, "sleep")
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // ended by a signal, which the state tells
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || status.Signal() != syscall.SIGTERM {
				t.Errorf("got %s, want ended by SIGTERM", cmd.ProcessState)
			}
		})
	}
}

// awaitProgram waits until process pid runs program.
func awaitProgram(t *testing.T, pid int, program string) {
	t.Helper()
	path := fmt.Sprintf("/proc/%d/comm", pid)
	if _, err := os.Stat("/proc/self/comm"); err != nil {
		t.Skip("SKIP: needs /proc to see which program a process runs")
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if comm, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(comm)) == program {
			return
		}
	}
	t.Fatalf("process %d never became %s: the shell stays in between", pid, program)
}

func TestEscapeUndoesKubernetesExpansion(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "$", "$$", "$$$", "$(A)", "$$(A)", "$$$(A)", "a$", "$(", "${A}", "$A$$", "$(A)$(B)", "$$A", "$((1+1))"} {
		if got := expand(escape(text), map[string]string{"A": "wrong", "B": "wrong"}); got != text {
			t.Errorf("%q: got %q after expansion", text, got)
		}
	}
}

// expand does what Kubernetes does to a command: $(VAR) is replaced where VAR
// is known, and $$ becomes $.
func expand(text string, vars map[string]string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		switch end := strings.IndexByte(text[i:], ')'); {
		case text[i+1] == '$':
			b.WriteByte('$')
			i++
		case text[i+1] == '(' && end > 0:
			if value, ok := vars[text[i+2:i+end]]; ok {
				b.WriteString(value)
			} else {
				b.WriteString(text[i : i+end+1])
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}
