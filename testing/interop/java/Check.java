import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

/** One line per check; the first that fails ends the program with what was expected and came. */
final class Check {
    private Check() {}

    /** The two must be equal. */
    static void same(String name, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            fail(name, expected, actual);
        }
        System.out.println("ok: " + name);
    }

    /** It must hold; what came is shown where it does not. */
    static void that(String name, boolean holds, Object actual) {
        if (!holds) {
            fail(name, "that it holds", actual);
        }
        System.out.println("ok: " + name);
    }

    /** The call must give this before long; a change may take a moment to be seen. */
    static void comes(String name, Object expected, Callable<?> call) throws Exception {
        long deadline = System.nanoTime() + 10_000_000_000L;
        Object actual = resultOf(call);
        while (!Objects.equals(expected, actual) && System.nanoTime() < deadline) {
            Thread.sleep(20);
            actual = resultOf(call);
        }
        same(name, expected, actual);
    }

    /** What the call gives as soon as it does not fail, or fails with for too long. */
    static <T> T once(Callable<T> call) throws Exception {
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (true) {
            try {
                return call.call();
            } catch (ExecutionException notThereYet) {
                if (System.nanoTime() > deadline) {
                    throw notThereYet;
                }
                Thread.sleep(20);
            }
        }
    }

    private static Object resultOf(Callable<?> call) {
        try {
            return call.call();
        } catch (Exception notThereYet) {
            return notThereYet;
        }
    }

    /** The call must fail with this, wrapped by a future or not. */
    static void fails(String name, Class<? extends Throwable> expected, Callable<?> call) {
        Throwable came = null;
        Object result = null;
        try {
            result = call.call();
        } catch (ExecutionException wrapped) {
            came = wrapped.getCause();
        } catch (Exception thrown) {
            came = thrown;
        }
        if (came == null || came.getClass() != expected) {
            fail(name, expected.getName(), came == null ? "result " + result : came);
        }
        System.out.println("ok: " + name);
    }

    private static void fail(String name, Object expected, Object actual) {
        System.out.flush();
        System.err.printf("failed: %s%nexpected: %s%nactual:   %s%n", name, expected, actual);
        if (actual instanceof Throwable thrown) {
            thrown.printStackTrace();
        }
        Runtime.getRuntime().halt(1);
    }
}
