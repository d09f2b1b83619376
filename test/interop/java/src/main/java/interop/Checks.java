// Prints one line for each thing that held ("ok ...") or did not ("FAILED ..."), and counts them.
package interop;

import java.time.Duration;
import java.util.Arrays;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;

final class Checks {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final Set<String> skipped;
    private String scenario;
    private int passed;
    private int failed;

    interface Scenario {
        void run(Checks checks) throws Exception;
    }

    Checks(Set<String> skipped) {
        this.skipped = skipped;
    }

    /** An exception that ends a scenario is one failure; the next scenario still runs. */
    void run(String name, Scenario body) {
        if (skipped.contains(name)) {
            return;
        }
        scenario = name;
        try {
            body.run(this);
        } catch (Exception | LinkageError e) {
            e.printStackTrace();
            report(false, "ended by " + e);
        }
    }

    void equal(String what, Object actual, Object expected) {
        boolean holds = Objects.equals(actual, expected);
        report(holds, what + ": " + actual + (holds ? "" : ", expected " + expected));
    }

    @SafeVarargs
    final <T> void oneOf(String what, T actual, T... accepted) {
        boolean holds = Arrays.asList(accepted).contains(actual);
        report(holds, what + ": " + actual + (holds ? "" : ", expected one of " + Arrays.toString(accepted)));
    }

    /** The value may need some time, and may be any of the accepted ones. */
    @SafeVarargs
    final <T> void eventually(String what, Callable<T> read, T... accepted) throws Exception {
        var last = new Object() {
            T value;
        };
        boolean holds = Waiting.until(PATIENCE, () -> {
            last.value = valueOf(read);
            return Arrays.asList(accepted).contains(last.value);
        });
        report(holds, what + ": " + last.value + (holds ? "" : ", expected " + Arrays.toString(accepted)));
    }

    /** Prints the sums, and answers whether nothing failed. */
    boolean summary() {
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0;
    }

    private void report(boolean holds, String line) {
        if (holds) {
            passed++;
        } else {
            failed++;
        }
        System.out.println((holds ? "ok " : "FAILED ") + scenario + ": " + line);
    }

    private static <T> T valueOf(Callable<T> read) {
        try {
            return read.call();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }
}
