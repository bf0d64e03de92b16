package convert

import "testing"

func TestFiveFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, cron, reason string }{
		{"rate(1 minute)", "* * * * *", ""},
		{"rate(5 minutes)", "*/5 * * * *", ""},
		{"rate(60 minutes)", "0 * * * *", ""},
		{"rate(1 hour)", "0 * * * *", ""},
		{"rate(6 hours)", "0 */6 * * *", ""},
		{"rate(24 hours)", "0 0 * * *", ""},
		{"rate(1 day)", "0 0 * * *", ""},
		{"rate(7 days)", "0 0 * * 0", ""},
		{"rate(7 minutes)", "", "five fields of cron cannot repeat evenly at this rate"},
		{"rate(90 minutes)", "", "five fields of cron cannot repeat evenly at this rate"},
		{"rate(5 hours)", "", "five fields of cron cannot repeat evenly at this rate"},
		{"rate(2 days)", "", "five fields of cron cannot repeat evenly at this rate"},
		{"rate(0 minutes)", "", "want a rate above 0"},
		{"rate(1 week)", "", "want rate(…) or cron(…)"},
		{"at(2026-01-01T00:00:00)", "", "runs once, at one time; cron only repeats"},
		{"cron(0 12 * * ? *)", "0 12 * * *", ""},
		{"cron(0/2 * ? * MON-FRI *)", "*/2 * * * 1-5", ""},
		{"cron(15 10 ? * 6 *)", "15 10 * * 5", ""},
		{"cron(0 18 ? * 1 *)", "0 18 * * 0", ""},
		{"cron(0 18 ? * SUN,wed *)", "0 18 * * 0,3", ""},
		{"cron(0 18 ? * 1-7 *)", "0 18 * * *", ""},
		{"cron(0 18 ? * FRI-MON *)", "0 18 * * 5,6,0,1", ""},
		{"cron(0 18 ? * 2/2 *)", "0 18 * * 1-6/2", ""},
		{"cron(1/10 * * * ? *)", "1-59/10 * * * *", ""},
		{"cron(0 22-2/2 * * ? *)", "0 22,0,2 * * *", ""},
		{"cron(0 8 1,15 JAN-MAR,12 ? *)", "0 8 1,15 1-3,12 *", ""},
		{"cron(0 8 1/3 * ? *)", "0 8 */3 * *", ""},
		{"cron(0 8 1 1/3 ? *)", "0 8 1 */3 *", ""},
		{"cron(59/5 8 1 * ? *)", "59 8 1 * *", ""},
		{"cron(0 8 L * ? *)", "", "five fields of cron cannot say L (the last day, the nearest weekday, the nth weekday)"},
		{"cron(0 8 3W * ? *)", "", "five fields of cron cannot say 3W (the last day, the nearest weekday, the nth weekday)"},
		{"cron(0 8 ? * 2#1 *)", "", "five fields of cron cannot say 2#1 (the last day, the nearest weekday, the nth weekday)"},
		{"cron(0 8 1 * ? 2027)", "", "is limited to some years, which five fields of cron cannot say"},
		{"cron(0 8 1 * 2 *)", "", "limits both the day of the month and the day of the week, which AWS refuses and cron reads as either"},
		{"cron(0 8 * * *)", "", "want six fields, got 5"},
		{"cron(60 8 1 * ? *)", "", "want 0 to 59, got 60"},
		{"cron(0 8 1 * MONDAY *)", "", "five fields of cron cannot say MONDAY (the last day, the nearest weekday, the nth weekday)"},
		{"cron(0 8 ? * 0 *)", "", "want 1 to 7, got 0"},
		{"cron(0/0 8 1 * ? *)", "", "want a step above 0"},
		{"", "", "want rate(…) or cron(…)"},
	} {
		cron, reason := fiveFields(c.expression)
		if cron != c.cron || reason != c.reason {
			t.Errorf("%s: got %q, %q, want %q, %q", c.expression, cron, reason, c.cron, c.reason)
		}
	}
}

func TestStarter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command, file string
		only          int
		runs          bool
	}{
		{"honcho start -f Procfile.web", "Procfile.web", 0, true},
		{"bundle exec foreman start -f ./deploy/Procfile web worker", "deploy/Procfile", 2, true},
		{"foreman start --procfile=Procfile.web", "Procfile.web", 0, true},
		{"honcho -f Procfile.web start", "Procfile.web", 0, true},
		{"bin/overmind s -f Procfile.web", "Procfile.web", 0, true},
		{"hivemind Procfile.web", "Procfile.web", 0, true},
		{"foreman start -f Procfile.web -m web=2", "", 1, true},
		{"PORT=3000 foreman start -f Procfile.web", "", 0, true},
		{"bin/wait && foreman start -f Procfile.web", "", 0, true},
		{"foreman start", "", 0, true},
		{"foreman start -f", "", 0, true},
		{"foreman run web", "", 2, false},
		{"npm run foreman", "", 0, false},
		{"bundle exec puma", "", 0, false},
		{"", "", 0, false},
	} {
		file, only, runs := starter(c.command)
		if file != c.file || len(only) != c.only || runs != c.runs {
			t.Errorf("%q: got %q, %v, %v, want %q, %d, %v", c.command, file, only, runs, c.file, c.only, c.runs)
		}
	}
}

func TestEndsByItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command string
		want    bool
	}{
		{"bin/rails cache:clear", true},
		{"bundle exec rake db:migrate", true},
		{"rails db:seed", true},
		{"bin/rails console", true},
		{"python manage.py migrate --no-input", true},
		{"npx prisma migrate deploy", true},
		{"mix ecto.migrate", true},
		{"bundle install && rails db:migrate", true},
		{"bundle exec rails db:migrate && bundle exec sidekiq -C config/sidekiq.yml", false},
		{"python manage.py migrate; celery -A proj worker -l info", false},
		{"bin/rake sidekiq", false},
		{"bundle exec rake jobs:work", false},
		{"bundle exec rake environment resque:work", false},
		{"bin/rails solid_queue:start", false},
		{"bin/rails server", false},
		{"bundle exec rails runner bin/threaded.rb", false},
		{"python manage.py runserver", false},
		{"bundle exec puma", false},
	} {
		if got := endsByItself(c.command); got != c.want {
			t.Errorf("%s: got %v, want %v", c.command, got, c.want)
		}
	}
}

func TestSundays(t *testing.T) {
	t.Parallel()
	for cron, want := range map[string]string{
		"0 0 * * 7": "0 0 * * 0", "0 7 7 7 1,7": "0 7 7 7 1,0", "0 0 * * 5-7": "0 0 * * 5-6,0", "*/7 * * * 1-5": "*/7 * * * 1-5", "@daily": "@daily",
	} {
		if got := sundays(cron); got != want {
			t.Errorf("%s: got %s, want %s", cron, got, want)
		}
	}
}
