package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/agent"
)

// settings are read once, from the environment; --kubeconfig is for running
// outside the cluster.
type settings struct {
	kubeconfig      string
	namespace       string
	identity        string
	pollInterval    time.Duration // 0: auto
	sweepInterval   time.Duration
	githubURL       string
	githubServerURL string
	githubAppID     int64
	githubAppKey    []byte // PEM
	githubTokenFile string // empty: none
	receipts        bool
	healthAddress   string
	logLevel        slog.Level
}

const help = `Usage: inhaul-agent [--kubeconfig FILE]

Runs in the cluster: pulls signed deploy intents, verifies and applies them, and
reports on their commits. It reads the App resources of its namespace.

Environment:
  INHAUL_NAMESPACE            namespace of the App resources (default inhaul)
  INHAUL_IDENTITY             name in the leader election (default: host name)
  INHAUL_POLL_INTERVAL        between two looks at a registry: 1s to 10m, or auto
                              (default), which is 1s for one or two apps, half a
                              second more for each other one, and 5s at the most
  INHAUL_SWEEP_INTERVAL       between two looks at the previews of pull requests: 1s to
                              1h (default 2m)
  INHAUL_GITHUB_API_URL       GitHub's REST API (default https://api.github.com)
  INHAUL_GITHUB_SERVER_URL    GitHub's web address, for links (default https://github.com,
                              or the host of an INHAUL_GITHUB_API_URL that ends in /api/v3)
  INHAUL_GITHUB_APP_ID        id of the GitHub App that writes check runs, deployments
                              and the comment on a pull request
  INHAUL_GITHUB_APP_KEY_FILE  its private key, PEM
  INHAUL_GITHUB_TOKEN_FILE    a token that writes commit statuses, for where no App can
                              be installed; read again when the file changes
  INHAUL_RECEIPTS             signed receipts beside the intents: on, off, or auto
                              (default), which is on where no App is configured
  INHAUL_HEALTH_ADDR          of /healthz, /readyz and /metrics (default :8081; - for none)
  INHAUL_LOG_LEVEL            debug, info, warn or error (default info)
  DOCKER_CONFIG               folder of config.json with the registry's credentials: to pull
                              intents, and where receipts are on, to push beside them
  SSL_CERT_FILE               CA bundle, if the registry has a CA of its own
`

// pollAuto lets the agent choose how often it looks at a registry.
const pollAuto = "auto"

// errHelp says that help was asked for; it is no failure.
var errHelp = errors.New("help was asked for")

func parse(args []string, getenv func(string) string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("inhaul-agent", flag.ContinueOnError)
	flags.SetOutput(new(strings.Builder))
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return s, errHelp
	} else if err != nil {
		return s, fmt.Errorf("%w (see --help)", err)
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q (see --help)", flags.Arg(0))
	}
	value := func(name, fallback string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return fallback
	}
	host, err := os.Hostname()
	if err != nil {
		return s, fmt.Errorf("asking for the host's name: %w", err)
	}
	s.namespace = value("INHAUL_NAMESPACE", "inhaul")
	s.identity = value("INHAUL_IDENTITY", host)
	s.healthAddress = value("INHAUL_HEALTH_ADDR", ":8081")
	s.githubURL = value("INHAUL_GITHUB_API_URL", "https://api.github.com")
	if u, err := url.Parse(s.githubURL); err != nil || u.Host == "" {
		return s, fmt.Errorf("INHAUL_GITHUB_API_URL is %q, want an address such as https://api.github.com", s.githubURL)
	}
	if poll := value("INHAUL_POLL_INTERVAL", pollAuto); poll != pollAuto {
		if s.pollInterval, err = time.ParseDuration(poll); err != nil || s.pollInterval < time.Second || s.pollInterval > 10*time.Minute {
			return s, fmt.Errorf("INHAUL_POLL_INTERVAL is %q, want auto, or 1s to 10m", poll)
		}
	}
	sweep := value("INHAUL_SWEEP_INTERVAL", agent.DefaultSweepInterval.String())
	if s.sweepInterval, err = time.ParseDuration(sweep); err != nil || s.sweepInterval < time.Second || s.sweepInterval > time.Hour {
		return s, fmt.Errorf("INHAUL_SWEEP_INTERVAL is %q, want 1s to 1h", sweep)
	}
	if err := s.logLevel.UnmarshalText([]byte(value("INHAUL_LOG_LEVEL", "info"))); err != nil {
		return s, fmt.Errorf("INHAUL_LOG_LEVEL is %q, want debug, info, warn or error", getenv("INHAUL_LOG_LEVEL"))
	}
	if err := s.parseWays(getenv); err != nil {
		return s, err
	}
	return s, s.parseApp(getenv)
}

// enterpriseAPI is where the REST API is on an Enterprise Server.
//
// https://docs.github.com/en/enterprise-server@latest/rest/using-the-rest-api/getting-started-with-the-rest-api
const enterpriseAPI = "/api/v3"

// parseWays reads what the ways out need beside the App.
func (s *settings) parseWays(getenv func(string) string) error {
	s.githubServerURL = agent.DefaultServerURL
	if server, found := strings.CutSuffix(strings.TrimSuffix(s.githubURL, "/"), enterpriseAPI); found {
		s.githubServerURL = server
	}
	if server := getenv("INHAUL_GITHUB_SERVER_URL"); server != "" {
		s.githubServerURL = strings.TrimSuffix(server, "/")
	}
	if u, err := url.Parse(s.githubServerURL); err != nil || u.Host == "" {
		return fmt.Errorf("INHAUL_GITHUB_SERVER_URL is %q, want an address such as %s", s.githubServerURL, agent.DefaultServerURL)
	}
	s.githubTokenFile = getenv("INHAUL_GITHUB_TOKEN_FILE")
	if s.githubTokenFile != "" {
		if _, err := readToken(s.githubTokenFile); err != nil {
			return fmt.Errorf("reading INHAUL_GITHUB_TOKEN_FILE: %w", err)
		}
	}
	switch receipts := getenv("INHAUL_RECEIPTS"); receipts {
	case "", "auto":
		s.receipts = getenv("INHAUL_GITHUB_APP_ID") == ""
	case "on", "off":
		s.receipts = receipts == "on"
	default:
		return fmt.Errorf("INHAUL_RECEIPTS is %q, want auto, on or off", receipts)
	}
	return nil
}

// parseApp reads the GitHub App, if there is one.
func (s *settings) parseApp(getenv func(string) string) error {
	id, file := getenv("INHAUL_GITHUB_APP_ID"), getenv("INHAUL_GITHUB_APP_KEY_FILE")
	if id == "" {
		return nil
	}
	if file == "" {
		return errors.New("INHAUL_GITHUB_APP_ID is set and INHAUL_GITHUB_APP_KEY_FILE is not: they belong together")
	}
	var err error
	if s.githubAppID, err = strconv.ParseInt(id, 10, 64); err != nil || s.githubAppID < 1 {
		return fmt.Errorf("INHAUL_GITHUB_APP_ID is %q, want the App's number", id)
	}
	if s.githubAppKey, err = os.ReadFile(file); err != nil { //nolint:gosec // because whoever sets the environment names the file
		return fmt.Errorf("reading INHAUL_GITHUB_APP_KEY_FILE: %w", err)
	}
	return nil
}
