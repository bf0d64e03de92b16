package agent

import (
	"testing"
)

func TestListenings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want string // empty: nothing
		port int
		loop bool
	}{
		{"listening on :3000", "port 3000", 3000, false},
		{"Server listening on http://0.0.0.0:3000", "0.0.0.0:3000", 3000, false},
		{"Example app listening on port 3000", "port 3000", 3000, false},
		{`{"level":"info","msg":"server started","port":4000}`, "port 4000", 4000, false},
		{`{"level":"info","msg":"listening","addr":":4000"}`, "port 4000", 4000, false},
		{"* Listening on tcp://0.0.0.0:9292", "0.0.0.0:9292", 9292, false},
		{"[2026-11-24 10:00:02 +0000] [1] [INFO] Listening at: http://127.0.0.1:8000 (1)", "127.0.0.1:8000", 8000, true},
		{"INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)", "127.0.0.1:8000", 8000, true},
		{" * Running on http://localhost:5000", "localhost:5000", 5000, true},
		{"Starting development server at http://127.0.0.1:8000/", "127.0.0.1:8000", 8000, true},
		{"   - Network:      http://0.0.0.0:3000", "0.0.0.0:3000", 3000, false},
		{"Now listening on: http://[::]:5000", "[::]:5000", 5000, false},
		{"listening on [::1]:5000", "[::1]:5000", 5000, true},
		{"Tomcat started on port(s): 8080 (http) with context path ''", "port 8080", 8080, false},
		{"Tomcat started on port 8080 (http)", "port 8080", 8080, false},
		{"10:00:02.123 [info] Running ShopWeb.Endpoint with Bandit 1.5.7 at 0.0.0.0:4000 (http)", "0.0.0.0:4000", 4000, false},
		{"2026-11-24T10:00:02Z listening on *:80", "*:80", 80, false},
		{"nginx is ready on :::8081", "[::]:8081", 8081, false},
		{"2026/11/24 10:00:02 starting server", "", 0, false},
		{"worker started in 1532 ms, pid:4711", "", 0, false},
		{"connecting to postgres://db:5432/shop", "", 0, false},
		{"connected to server at http://api.example.com:9000", "", 0, false},
		{"proxy started, upstream http://10.0.0.1:9000", "", 0, false},
		{"Debugger listening on ws://127.0.0.1:9229/0f2c", "", 0, false},
		{"metrics server listening on :9090", "", 0, false},
		{"Error: listen EADDRINUSE: address already in use :::3000", "", 0, false},
		{"cannot listen on port 80: permission denied", "", 0, false},
		{"listening on port 99999", "", 0, false},
		{"GET http://localhost:3000/", "", 0, false},
	} {
		got := listenings(test.line + "\n")
		if test.want == "" {
			if len(got) != 0 {
				t.Errorf("%s: got %+v, want nothing", test.line, got)
			}
			continue
		}
		if len(got) != 1 || got[0].text != test.want || got[0].port != test.port || got[0].loopback != test.loop {
			t.Errorf("%s: got %+v, want %s, port %d, loopback %t", test.line, got, test.want, test.port, test.loop)
		}
	}
}

func FuzzListenings(f *testing.F) {
	f.Add("listening on http://[::]:3000\n")
	f.Fuzz(func(t *testing.T, log string) {
		for _, l := range listenings(log) {
			if l.port <= 0 || l.port > maxPort || l.text == "" {
				t.Errorf("got %+v of %q", l, log)
			}
		}
	})
}
